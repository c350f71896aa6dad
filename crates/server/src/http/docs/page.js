
"use strict";
(() => {
  const METHODS = ["get", "post", "put", "patch", "delete"];
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  const key = document.getElementById("key");
  const search = document.getElementById("search");
  let api = null;

  // Everything is built of text nodes: nothing that the description or an answer holds can become markup.
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  }

  function resolve(schema) {
    for (let hops = 0; schema && schema.$ref && hops < 20; hops++) {
      schema = schema.$ref.replace(/^#\//, "").split("/").reduce((at, name) => at && at[name.replace(/~1/g, "/").replace(/~0/g, "~")], api);
    }
    return schema || {};
  }

  function kind(schema) {
    if (schema && schema.$ref) return schema.$ref.split("/").pop();
    const own = schema || {};
    const choices = own.oneOf || own.anyOf;
    if (choices) return choices.map(kind).join(" | ");
    if (own.enum) return own.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (own.type === "array") return kind(own.items) + "[]";
    return [].concat(own.type || "any").join(" | ");
  }

  function example(schema, depth) {
    const own = resolve(schema);
    if (own.example !== undefined) return own.example;
    if (own.examples && own.examples.length) return own.examples[0];
    if (own.default !== undefined) return own.default;
    if (own.enum) return own.enum[0];
    if (depth > 5) return null;
    if (own.allOf) return Object.assign({}, ...own.allOf.map((part) => example(part, depth + 1)));
    const choice = (own.oneOf || own.anyOf || []).find((part) => part.type !== "null");
    if (choice) return example(choice, depth + 1);
    const type = [].concat(own.type || (own.properties ? "object" : [])).find((name) => name !== "null");
    if (type === "array") return own.items ? [example(own.items, depth + 1)] : [];
    if (type === "object") {
      const wanted = Object.entries(own.properties || {}).filter(([name]) => !own.required || own.required.includes(name) || depth === 0);
      return Object.fromEntries(wanted.map(([name, part]) => [name, example(part, depth + 1)]));
    }
    return { string: "", integer: 0, number: 0, boolean: false }[type] ?? null;
  }

  function fields(schema) {
    const own = resolve(schema);
    const properties = Object.entries(own.properties || {});
    if (!properties.length) return null;
    const required = new Set(own.required || []);
    return table(["field", "type", ""], properties.map(([name, part]) => [
      label(name, required.has(name)), make("code", {}, kind(part)), part.description || resolve(part).description || "",
    ]));
  }

  function label(name, required) {
    return make("span", {}, make("code", {}, name), required ? make("span", { class: "required" }, " required") : null);
  }

  function table(heads, rows) {
    const head = make("tr", {}, ...heads.map((text) => make("th", {}, text)));
    const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  }

  function operations() {
    const found = [];
    for (const [path, item] of Object.entries(api.paths || {})) {
      for (const method of METHODS.filter((name) => item[name])) {
        const operation = item[method];
        const parameters = [...(item.parameters || []), ...(operation.parameters || [])].map(resolve);
        const tag = (operation.tags || ["other"])[0];
        found.push({ path, method, operation, parameters, tag, id: method + path.replace(/[^a-z0-9]+/gi, "-") });
      }
    }
    return found;
  }

  function headers(extra) {
    const given = key.value.trim();
    return Object.assign(given ? { Authorization: "Bearer " + given } : {}, extra);
  }

  function tryOut({ path, method, operation, parameters }) {
    const content = Object.entries((resolve(operation.requestBody).content) || {})[0];
    const inputs = parameters.filter(({ in: place }) => ["path", "query", "header"].includes(place)).map((parameter) => ({
      parameter, input: make("input", { "aria-label": parameter.name, placeholder: kind(parameter.schema) }),
    }));
    const body = content && make("textarea", { "aria-label": "Body", spellcheck: "false" });
    if (body) {
      const given = content[1].example ?? example(content[1].schema, 0);
      body.value = typeof given === "string" ? given : JSON.stringify(given, null, 2);
    }
    const answer = make("div", { "aria-live": "polite" });
    let running = null;
    const stop = make("button", { class: "plain", type: "button", hidden: true, onclick: () => running && running.abort() }, "Stop");
    async function send() {
      let target = path;
      const query = new URLSearchParams();
      const extra = content ? { "Content-Type": content[0] } : {};
      for (const { parameter, input } of inputs) {
        if (parameter.in === "path") target = target.replace("{" + parameter.name + "}", encodeURIComponent(input.value));
        else if (input.value && parameter.in === "query") query.append(parameter.name, input.value);
        else if (input.value) extra[parameter.name] = input.value;
      }
      const text = query.toString();
      running = new AbortController();
      stop.hidden = false;
      const status = make("strong", {}, "…");
      const shown = make("pre", {});
      answer.replaceChildren(make("h3", {}, "Answer"), status, shown);
      const began = performance.now();
      try {
        const response = await fetch(target + (text ? "?" + text : ""), {
          method: method.toUpperCase(), headers: headers(extra), body: body ? body.value : undefined, signal: running.signal,
        });
        status.textContent = response.status + " " + response.statusText + " in " + Math.round(performance.now() - began) + " ms";
        status.className = response.ok ? "good" : "bad";
        if (!response.body) return;
        const reader = response.body.getReader();
        const decoder = new TextDecoder();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          shown.append(decoder.decode(part.value, { stream: true }));
        }
      } catch (error) {
        if (error.name !== "AbortError") { status.textContent = String(error); status.className = "bad"; }
      } finally {
        stop.hidden = true;
      }
    }
    const rows = inputs.flatMap(({ parameter, input }) => [label(parameter.name, parameter.required), input]);
    return [
      make("h3", {}, "Try it"),
      rows.length ? make("div", { class: "inputs" }, ...rows) : null,
      body, make("div", { class: "row" }, make("button", { type: "button", onclick: send }, "Send"), stop), answer,
    ];
  }

  function inside(entry) {
    const { operation, parameters } = entry;
    const parts = [];
    if (operation.description) parts.push(make("p", {}, operation.description));
    if (parameters.length) {
      parts.push(make("h3", {}, "Parameters"), table(["name", "in", "type", ""], parameters.map((parameter) => [
        label(parameter.name, parameter.required), parameter.in, make("code", {}, kind(parameter.schema)), parameter.description || "",
      ])));
    }
    for (const [type, media] of Object.entries(resolve(operation.requestBody).content || {})) {
      parts.push(make("h3", {}, "Body: " + type), fields(media.schema) || make("code", {}, kind(media.schema)));
    }
    parts.push(make("h3", {}, "Answers"));
    parts.push(table(["status", "", "body"], Object.entries(operation.responses || {}).map(([status, reply]) => {
      const media = Object.values(resolve(reply).content || {})[0];
      return [make("code", {}, status), resolve(reply).description || "", media ? make("code", {}, kind(media.schema)) : ""];
    })));
    return make("div", { class: "inside" }, ...parts, ...tryOut(entry));
  }

  function badge(method) {
    return make("span", { class: "method " + method }, method);
  }

  function render() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = operations().filter(({ path, method, operation, tag }) => {
      const text = [method, path, tag, operation.summary, operation.description].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const info = api.info || {};
    document.getElementById("version").textContent = info.version || "";
    const page = [make("h1", {}, info.title || "API"), make("p", { class: "quiet" }, info.description || "")];
    const list = [];
    for (const tag of new Set(matches.map((entry) => entry.tag))) {
      page.push(make("h2", {}, tag));
      list.push(make("h2", {}, tag));
      for (const entry of matches.filter((match) => match.tag === tag)) {
        const title = entry.operation.summary || "";
        const details = make("details", { class: "operation", id: entry.id },
          make("summary", {}, badge(entry.method), make("span", { class: "path" }, entry.path), make("span", { class: "title" }, title)));
        // Filled when it is opened: a long description would otherwise be rendered for nothing.
        details.addEventListener("toggle", () => details.open && details.children.length < 2 && details.append(inside(entry)));
        page.push(details);
        list.push(make("a", { href: "#" + entry.id, title: entry.path }, badge(entry.method), make("span", {}, title || entry.path)));
      }
    }
    if (!matches.length) page.push(make("p", { class: "quiet" }, "No operation matches."));
    main.replaceChildren(...page);
    contents.replaceChildren(...list);
    openTarget();
  }

  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  }

  async function load() {
    const response = await fetch("/openapi.json", { headers: headers({}) });
    if (response.status === 401 || response.status === 403) {
      main.replaceChildren(make("h1", {}, "Quintet API"), make("p", {}, "This server asks for an API key. Put one into the field above, and press Enter. It stays in this page only."));
      key.focus();
      return;
    }
    if (!response.ok) throw new Error("/openapi.json: " + response.status);
    api = await response.json();
    render();
  }

  const reload = () => load().catch((error) => main.replaceChildren(make("p", { class: "bad" }, String(error))));
  key.addEventListener("change", reload);
  search.addEventListener("input", () => api && render());
  window.addEventListener("hashchange", openTarget);
  reload();
})();
