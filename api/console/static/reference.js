// Swagger UI over this server's own document: every route can be tried with a key.

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const themed = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
themed();
dark.addEventListener("change", themed);

window.SwaggerUIBundle({
  url: "openapi.json", // beside this page, whatever stands before both,
  domNode: document.getElementById("reference"),
  deepLinking: false, // its links would stand inside of buttons
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  tryItOutEnabled: false,
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
