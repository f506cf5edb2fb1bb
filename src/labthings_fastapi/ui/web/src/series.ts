// The last ten minutes of a property, as numbers: columns of one time and of each number in the value.
import { signal } from "@preact/signals";
import { numbersIn } from "./format";

export const KEPT = 600_000;
const MOST = 12_000;

export class Series {
  readonly times: number[] = [];
  readonly columns: (number | null)[][] = [];
  names: string[] = [];
  /** Counts the changes: who draws looks at it once in a frame. */
  readonly version = signal(0);

  add(at: number, value: unknown): void {
    const numbers = numbersIn(value);
    if (!numbers.length) return;
    if (this.names.join() !== numbers.map(([name]) => name).join()) {
      this.clear();
      this.names = numbers.map(([name]) => name);
      for (const _ of numbers) this.columns.push([]);
    }
    const last = this.times[this.times.length - 1] ?? 0;
    this.times.push(Math.max(at, last));
    numbers.forEach(([, number], index) => this.columns[index]!.push(Number.isFinite(number) ? number : null));
    this.trim(at);
    this.version.value += 1;
  }

  private trim(now: number): void {
    let drop = 0;
    while (drop < this.times.length && (this.times[drop]! < now - KEPT || this.times.length - drop > MOST)) drop += 1;
    // In larger pieces, because taking one from the front moves all others.
    if (drop < 200 && this.times.length <= MOST) return;
    this.times.splice(0, Math.max(drop, this.times.length > MOST ? 1000 : 0));
    for (const column of this.columns) column.splice(0, column.length - this.times.length);
  }

  clear(): void {
    this.times.length = 0;
    this.columns.length = 0;
    this.names = [];
    this.version.value += 1;
  }

  /** As a table: a line of names, then one line for each time. */
  csv(title: string): string {
    const names = this.names.map((name) => (name ? `${title} ${name}` : title));
    const lines = [["time", ...names].map(quoted).join(",")];
    this.times.forEach((at, row) => {
      lines.push([new Date(at).toISOString(), ...this.columns.map((column) => column[row] ?? "")].join(","));
    });
    return `${lines.join("\r\n")}\r\n`;
  }
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}
