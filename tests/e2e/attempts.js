// The ways in which a web page can reach a server. Each resolves to what the page learns of it;
// a page that is refused learns nothing. Evaluated in the pages that the tests open.
({
  request: async ([url, options]) => {
    if (options.form) {
      options = { ...options, body: new FormData() };
      options.body.append("distance", "5");
    }
    try {
      const answer = await fetch(url, options);
      return { status: answer.status, text: await answer.text() };
    } catch (error) {
      return { status: 0, text: "", error: String(error) };
    }
  },

  beacon: ([url, type, text]) => navigator.sendBeacon(url, new Blob([text], { type })),

  // Into a frame, so that the page stays.
  form: ([url, enctype, name, value]) => {
    const frame = document.createElement("iframe");
    frame.name = `frame${document.forms.length}`;
    const form = document.createElement("form");
    Object.assign(form, { action: url, method: "POST", enctype, target: frame.name });
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
    document.body.append(frame, form);
    form.submit();
  },

  // With `change`, a request that makes something happen once the stream is open.
  stream: ([url, name, change]) =>
    new Promise((resolve) => {
      const source = new EventSource(url);
      const end = (learned) => (source.close(), resolve(learned));
      source.onerror = () => end("refused");
      source.onopen = () => (change ? fetch(...change) : end("open"));
      source.addEventListener(name, (event) => end(event.data));
    }),

  socket: (url) =>
    new Promise((resolve) => {
      const socket = new WebSocket(url);
      socket.onopen = () => (socket.close(), resolve("open"));
      socket.onerror = () => resolve("refused");
    }),

  element: ([tag, url]) =>
    new Promise((resolve) => {
      const element = document.createElement(tag);
      element.onload = () => resolve("loaded");
      element.onerror = () => resolve("refused");
      if (tag === "link") Object.assign(element, { rel: "stylesheet", href: url });
      else element.src = url;
      document.body.append(element);
    }),

  frame: (url) =>
    new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.onload = () => {
        try {
          resolve(frame.contentWindow.document.body.innerText);
        } catch {
          resolve("unreadable");
        }
      };
      frame.src = url;
      document.body.append(frame);
    }),
});
