// Light, dark, or as the system has it.
import { signal } from "@preact/signals";

type Choice = "system" | "light" | "dark";
const KEY = "labthings.theme";

function kept(): Choice {
  try {
    return (localStorage.getItem(KEY) as Choice | null) ?? "system";
  } catch {
    return "system";
  }
}

const system = matchMedia("(prefers-color-scheme: dark)");
const choice = signal<Choice>(kept());
/** The one that is shown. */
export const theme = signal<"light" | "dark">("light");

function apply(): void {
  const shown = choice.value === "system" ? (system.matches ? "dark" : "light") : choice.value;
  document.documentElement.dataset["theme"] = shown;
  theme.value = shown;
}

export function switchTheme(): void {
  choice.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, choice.value);
  } catch {
    // a browser that keeps nothing: the choice is for this page only
  }
  apply();
}

system.addEventListener("change", apply);
apply();
