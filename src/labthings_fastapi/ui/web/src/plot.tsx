// Curves with uPlot: of values that come, and of results. Nothing is drawn while nobody can see it.
import { effect, useSignal, type Signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { number } from "./format";
import { KEPT, type Series } from "./series";
import { t } from "./texts";
import { theme } from "./theme";

const HEIGHT = 240;

export function colours(): { lines: string[]; text: string; grid: string } {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(name).trim();
  return {
    lines: [1, 2, 3, 4, 5, 6].map((index) => of(`--line-${index}`)),
    text: of("--text-2"),
    grid: of("--border"),
  };
}

interface Curve {
  name: string;
  data: (number | null)[];
}

function options(names: string[], width: number, isTime: boolean, xName: string, height = HEIGHT): uPlot.Options {
  const { lines, text, grid } = colours();
  const font = "12px system-ui, sans-serif";
  const axis: uPlot.Axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
  return {
    width,
    height,
    scales: { x: { time: isTime } },
    // 24 hours, and no dates of the United States.
    fmtDate: () => (date: Date) => date.toTimeString().slice(0, 8),
    legend: { live: true },
    cursor: { points: { size: 6 }, drag: { x: true, y: false } },
    axes: [
      { ...axis, ...(isTime ? { values: (_: uPlot, splits: number[]) => splits.map((each) => new Date(each * 1000).toTimeString().slice(0, 8)), space: 80 } : { label: xName || undefined, labelFont: font, labelSize: 18, size: 30 }) },
      { ...axis, size: 60, values: (_: uPlot, splits: number[]) => splits.map(number) },
    ],
    series: [
      { label: isTime ? t.when : xName || "#", value: (_: uPlot, value: number | null) => (value === null ? "–" : isTime ? new Date(value * 1000).toTimeString().slice(0, 8) : number(value)) },
      ...names.map((name, index) => ({
        label: name,
        stroke: lines[index % lines.length],
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        value: (_: uPlot, value: number | null) => (value === null || value === undefined ? "–" : number(value)),
      })),
    ],
  };
}

/** A curve of a result. */
export function Chart({ x, xName, ys }: { x: number[]; xName: string; ys: Curve[] }): VNode {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const target = place.current;
    if (!target) return;
    const order = x.map((_, index) => index).sort((a, b) => x[a]! - x[b]!);
    const data = [order.map((index) => x[index]!), ...ys.map((each) => order.map((index) => each.data[index] ?? null))];
    let plot: uPlot | null = null;
    const dispose = effect(() => {
      theme.value;
      plot?.destroy();
      plot = new uPlot(options(ys.map((each) => each.name), target.clientWidth || 300, false, xName), data as uPlot.AlignedData, target);
    });
    const observer = new ResizeObserver(() => plot?.setSize({ width: target.clientWidth, height: HEIGHT }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      dispose();
      plot?.destroy();
    };
  }, [x, ys, xName]);
  return <div class="chart" ref={place} role="img" aria-label={`${ys.map((each) => each.name).join(", ")} / ${xName}`} />;
}

export interface Source {
  title: string;
  unit: string;
  series: Series;
}

/** All sources on one axis of time; times at which one has no value are gaps that its line crosses. */
export function joined(sources: Source[]): { names: string[]; data: (number | null)[][] } {
  const names: string[] = [];
  if (sources.length === 1) {
    const [{ title, unit, series }] = sources as [Source];
    for (const name of series.names) names.push(label(title, name, unit));
    return { names, data: [series.times.map((each) => each / 1000), ...series.columns.map((each) => [...each])] };
  }
  const times = [...new Set(sources.flatMap((each) => each.series.times))].sort((a, b) => a - b);
  const place = new Map(times.map((each, index) => [each, index]));
  const data: (number | null)[][] = [times.map((each) => each / 1000)];
  for (const { title, unit, series } of sources) {
    series.names.forEach((name, column) => {
      names.push(label(title, name, unit));
      const values = new Array<number | null>(times.length).fill(undefined as unknown as null);
      series.times.forEach((at, row) => (values[place.get(at)!] = series.columns[column]![row]!));
      data.push(values);
    });
  }
  return { names, data };
}

function label(title: string, name: string, unit: string): string {
  return `${title}${name ? ` ${name}` : ""}${unit ? ` (${unit})` : ""}`;
}

/** The last ten minutes of some properties. */
export function LivePlot({ sources, title }: { sources: Source[]; title: string }): VNode {
  const paused = useSignal(false);
  const asMap = useSignal(false);
  const canMap = sources.some((each) => mapColumns(each.series) !== null);
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const key = sources.map((each) => each.title).join("|");
  useEffect(() => {
    const target = place.current;
    if (!target || asMap.value) return;
    return draw(target, sources, paused, plot);
  }, [key, asMap.value]);
  const save = (): void => {
    const texts = sources.map((each) => each.series.csv(label(each.title, "", each.unit)));
    download(new Blob([texts.join("\r\n")], { type: "text/csv" }), `${title}.csv`);
  };
  const picture = (): void => {
    const canvas = place.current?.querySelector("canvas");
    canvas?.toBlob((blob) => blob && download(blob, `${title}.png`));
  };
  return (
    <div class="live-plot">
      {asMap.value ? <PathMap sources={sources} /> : <div class="chart" ref={place} role="img" aria-label={`${t.plot}: ${sources.map((each) => each.title).join(", ")}`} />}
      <div class="row plot-tools">
        <button type="button" class="small" aria-pressed={paused.value} onClick={() => (paused.value = !paused.value)}>{paused.value ? t.resume : t.pause}</button>
        {canMap && <button type="button" class="small" aria-pressed={asMap.value} onClick={() => (asMap.value = !asMap.value)}>{asMap.value ? t.curve : t.map}</button>}
        <span class="hint grow">{asMap.value ? "" : t.zoomHint}</span>
        <button type="button" class="small quiet" onClick={save}>↓ {t.saveCsv}</button>
        <button type="button" class="small quiet" onClick={picture}>↓ {t.savePng}</button>
      </div>
    </div>
  );
}

function draw(target: HTMLDivElement, sources: Source[], paused: Signal<boolean>, kept: { current: uPlot | null }): () => void {
  let plot: uPlot | null = null;
  let names = "";
  let frame = 0;
  let zoomed = false;
  const paint = (): void => {
    frame = 0;
    if (document.hidden || paused.peek()) return;
    const { names: now, data } = joined(sources);
    if (!now.length) return;
    if (!plot || names !== now.join("|")) {
      plot?.destroy();
      names = now.join("|");
      const chosen = options(now, target.clientWidth || 300, true, "");
      chosen.series.slice(1).forEach((each) => (each.spanGaps = sources.length > 1));
      chosen.hooks = { setSelect: [(u) => (zoomed = u.select.width > 0)] };
      plot = new uPlot(chosen, data as uPlot.AlignedData, target);
      plot.over.addEventListener("dblclick", () => (zoomed = false));
      kept.current = plot;
      return;
    }
    plot.setData(data as uPlot.AlignedData, !zoomed);
    if (!zoomed) {
      const end = Date.now() / 1000;
      const first = data[0]![0] ?? end - 60;
      plot.setScale("x", { min: Math.min(Math.max(first, end - KEPT / 1000), end - 10), max: end });
    }
  };
  const request = (): void => {
    if (!frame) frame = requestAnimationFrame(paint);
  };
  const dispose = effect(() => {
    for (const { series } of sources) series.version.value;
    paused.value;
    request();
  });
  const rebuild = effect(() => {
    theme.value;
    names = "";
    request();
  });
  const tick = window.setInterval(request, 1000);
  const shown = (): void => (document.hidden ? undefined : request());
  document.addEventListener("visibilitychange", shown);
  const observer = new ResizeObserver(() => plot?.setSize({ width: target.clientWidth, height: HEIGHT }));
  observer.observe(target);
  return () => {
    cancelAnimationFrame(frame);
    window.clearInterval(tick);
    document.removeEventListener("visibilitychange", shown);
    observer.disconnect();
    dispose();
    rebuild();
    plot?.destroy();
    kept.current = null;
  };
}

/** The two numbers of a property that are a place: x and y, or the first two of a tuple. */
function mapColumns(series: Series): [number, number] | null {
  const x = series.names.indexOf("x");
  const y = series.names.indexOf("y");
  if (x >= 0 && y >= 0) return [x, y];
  return series.names.length === 2 && series.names[0] === "1" ? [0, 1] : null;
}

function PathMap({ sources }: { sources: Source[] }): VNode {
  const place = useRef<HTMLCanvasElement>(null);
  const source = sources.find((each) => mapColumns(each.series));
  useEffect(() => {
    const canvas = place.current;
    if (!canvas || !source) return;
    let frame = 0;
    const paint = (): void => {
      frame = 0;
      if (!document.hidden) paintPath(canvas, source.series);
    };
    const dispose = effect(() => {
      source.series.version.value;
      theme.value;
      if (!frame) frame = requestAnimationFrame(paint);
    });
    return () => {
      cancelAnimationFrame(frame);
      dispose();
    };
  }, [source]);
  return <canvas class="map" ref={place} role="img" aria-label={`${t.map}: ${source?.title ?? ""}`} />;
}

function paintPath(canvas: HTMLCanvasElement, series: Series): void {
  const columns = mapColumns(series);
  const context = canvas.getContext("2d");
  if (!columns || !context) return;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  context.scale(ratio, ratio);
  const xs = series.columns[columns[0]]!;
  const ys = series.columns[columns[1]]!;
  const points = xs.map((x, index) => [x, ys[index]] as const).filter(([x, y]) => x !== null && y !== null && y !== undefined) as [number, number][];
  if (!points.length) return;
  const { lines, text, grid } = colours();
  const range = (values: number[]): [number, number] => [Math.min(...values), Math.max(...values)];
  const [left, right] = range(points.map(([x]) => x));
  const [low, high] = range(points.map(([, y]) => y));
  const span = Math.max(right - left, high - low, 1e-9) * 1.2;
  const scale = Math.min(width, height - 24) / span;
  const at = ([x, y]: [number, number]): [number, number] => [
    width / 2 + (x - (left + right) / 2) * scale,
    (height - 24) / 2 - (y - (low + high) / 2) * scale,
  ];
  context.strokeStyle = grid;
  context.strokeRect(0.5, 0.5, width - 1, height - 25);
  context.strokeStyle = lines[0]!;
  context.lineWidth = 1.5;
  context.beginPath();
  points.forEach((point, index) => (index ? context.lineTo(...at(point)) : context.moveTo(...at(point))));
  context.stroke();
  const last = points[points.length - 1]!;
  context.fillStyle = lines[0]!;
  context.beginPath();
  context.arc(...at(last), 5, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = text;
  context.font = "12px system-ui, sans-serif";
  context.fillText(`x ${number(left)} … ${number(right)}   y ${number(low)} … ${number(high)}   ● ${number(last[0])}, ${number(last[1])}`, 0, height - 6);
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
