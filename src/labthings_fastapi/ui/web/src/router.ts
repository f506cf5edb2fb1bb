// Addresses after the #, so that reload, links and the buttons of the browser work everywhere.
import { computed, signal } from "@preact/signals";

const hash = signal(location.hash);
window.addEventListener("hashchange", () => {
  hash.value = location.hash;
});

export interface Route {
  screen: string;
  argument: string;
  query: URLSearchParams;
}

export const route = computed<Route>(() => {
  const [path = "", query = ""] = hash.value.replace(/^#\/?/, "").split("?");
  const [screen = "", ...rest] = path.split("/");
  return { screen, argument: rest.map(decodeURIComponent).join("/"), query: new URLSearchParams(query) };
});

export const toThing = (name: string): string => `#/thing/${name.split("/").map(encodeURIComponent).join("/")}`;
export const toRun = (id: string): string => `#/run/${id}`;

export function go(address: string): void {
  location.hash = address.replace(/^#/, "");
}
