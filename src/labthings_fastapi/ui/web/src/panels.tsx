// Panels that the author of a Thing has declared.
import type { VNode } from "preact";

export function PanelView(_props: { thing: string; panel: unknown }): VNode | null {
  return null;
}
