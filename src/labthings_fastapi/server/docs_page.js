// Starts Swagger UI on the page that loads this file. It is not part of the page, so that the
// page's content security policy can forbid all inline scripts.
SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.openapi,
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // By default, Swagger UI sends the address of this server to a validator on the internet.
  validatorUrl: null,
});
