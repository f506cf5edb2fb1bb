// Starts Swagger UI on the page that loads this file. A file of its own, so that the page's
// content security policy can forbid every script that stands in a page.
SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.openapi,
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // By default it would send the address of this server to a validator on the internet.
  validatorUrl: null,
});
