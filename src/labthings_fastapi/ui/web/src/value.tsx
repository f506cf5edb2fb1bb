// Any value, as well as it can be shown: a number, a table, a curve, a picture.
import type { VNode } from "preact";
import { url } from "./api";
import { bytes, inline, number } from "./format";
import { Chart } from "./plot";
import type { Schema } from "./schema";
import { unitOf } from "./schema";
import { t } from "./texts";
import { useSignal } from "@preact/signals";

const SHOWN_ROWS = 50;
const SHOWN_PICTURES = 100;

interface BlobValue {
  href: string;
  media_type: string;
  size?: number;
}

export function isBlob(value: unknown): value is BlobValue {
  return typeof value === "object" && value !== null && "href" in value && "media_type" in value;
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === "number");
}

function isPlain(value: unknown): boolean {
  return value === null || typeof value !== "object";
}

function isImage(blob: BlobValue): boolean {
  return /^image\/(jpeg|png|gif|webp)$/.test(blob.media_type);
}

export function Blob({ value, small = false }: { value: BlobValue; small?: boolean }): VNode {
  const address = url(value.href);
  const size = value.size === undefined ? "" : ` · ${bytes(value.size)}`;
  if (isImage(value)) {
    return (
      <a class={small ? "thumbnail" : "picture"} href={address} target="_blank" rel="noopener">
        <img src={address} alt={`${value.media_type}${size}`} loading="lazy" />
      </a>
    );
  }
  return <a href={address} download>{t.download} {value.media_type}{size}</a>;
}

/** The number and its unit; the unit never leaves the number. */
export function Quantity({ value, unit }: { value: unknown; unit: string }): VNode {
  const full = typeof value === "number" ? `${value} ${unit}`.trim() : undefined;
  if (unit === "B" && typeof value === "number") {
    const [figure, prefixed] = bytes(value).split(" ");
    return <span class="quantity" title={full}><span class="figure">{figure}</span><span class="unit">{prefixed}</span></span>;
  }
  return (
    <span class="quantity" title={full}>
      <span class="figure">{inline(value)}</span>
      {unit && value !== null && <span class="unit">{unit}</span>}
    </span>
  );
}

export function ValueView({ value, schema, name = "", depth = 0 }: { value: unknown; schema?: Schema; name?: string; depth?: number }): VNode {
  const unit = unitOf(schema);
  if (isPlain(value)) {
    if (typeof value === "string" && value.length > 80) return <pre class="long-text">{value}</pre>;
    return <Quantity value={value} unit={unit} />;
  }
  if (isBlob(value)) return <Blob value={value} />;
  if (Array.isArray(value)) return <ListView value={value} schema={schema} name={name} depth={depth} unit={unit} />;
  const given = value as Record<string, unknown>;
  const curves = Object.entries(given).filter(([, each]) => isNumbers(each) && (each as number[]).length > 4) as [string, number[]][];
  if (curves.length >= 2 && curves.every(([, each]) => each.length === curves[0]![1].length)) {
    const [x, ...ys] = curves as [[string, number[]], ...[string, number[]][]];
    const rest = Object.entries(given).filter(([key]) => !curves.some(([curve]) => curve === key));
    return (
      <div class="stack">
        <Chart x={x[1]} xName={axisName(x[0], schema)} ys={ys.map(([key, data]) => ({ name: axisName(key, schema), data }))} />
        {rest.length > 0 && <Members entries={rest} schema={schema} depth={depth} />}
      </div>
    );
  }
  const entries = Object.entries(given);
  if (entries.length <= 4 && entries.every(([, each]) => typeof each === "number")) {
    return (
      <span class="inline-members">
        {entries.map(([key, each]) => <span key={key}><span class="faint">{key}</span> <Quantity value={each} unit={unitOf(schema?.properties?.[key])} /></span>)}
      </span>
    );
  }
  return <Members entries={entries} schema={schema} depth={depth} />;
}

function axisName(key: string, schema?: Schema): string {
  const unit = unitOf(schema?.properties?.[key]);
  return unit ? `${key} (${unit})` : key;
}

function Members({ entries, schema, depth }: { entries: [string, unknown][]; schema?: Schema; depth: number }): VNode {
  if (!entries.length) return <span class="faint">{t.nothing}</span>;
  return (
    <dl class="members">
      {entries.map(([key, each]) => {
        const extra = typeof schema?.additionalProperties === "object" ? schema.additionalProperties : undefined;
        return [
          <dt key={`${key}-name`}>{key}</dt>,
          <dd key={key}>{depth > 3 ? inline(each) : <ValueView value={each} schema={schema?.properties?.[key] ?? extra} name={key} depth={depth + 1} />}</dd>,
        ];
      })}
    </dl>
  );
}

function ListView({ value, schema, name, depth, unit }: { value: unknown[]; schema?: Schema; name: string; depth: number; unit: string }): VNode {
  if (!value.length) return <span class="faint">{t.nothing}</span>;
  if (isNumbers(value)) {
    if (value.length <= 8) {
      return <span class="quantity"><span class="figure">{value.map(number).join("; ")}</span>{unit && <span class="unit">{unit}</span>}</span>;
    }
    return <Chart x={value.map((_, index) => index)} xName="" ys={[{ name: unit ? `${name} (${unit})` : name, data: value }]} />;
  }
  const items = Array.isArray(schema?.items) ? undefined : schema?.items;
  if (value.every((each) => typeof each === "object" && each !== null && !Array.isArray(each) && !isBlob(each))) {
    return <Table rows={value as Record<string, unknown>[]} schema={items} />;
  }
  if (value.every(isBlob)) {
    return <div class="thumbnails">{value.slice(0, SHOWN_PICTURES).map((each, index) => <Blob key={index} value={each} small />)}</div>;
  }
  if (depth > 2 || value.every(isPlain)) return <span class="figure wrap">{value.slice(0, SHOWN_ROWS).map(inline).join("; ")}</span>;
  return (
    <ol class="values">
      {value.slice(0, SHOWN_ROWS).map((each, index) => <li key={index}><ValueView value={each} schema={items} depth={depth + 1} /></li>)}
    </ol>
  );
}

function Table({ rows, schema }: { rows: Record<string, unknown>[]; schema?: Schema }): VNode {
  const all = useSignal(false);
  const columns = [...new Set(rows.slice(0, 200).flatMap(Object.keys))];
  const pictures = columns.filter((column) => rows.some((row) => isBlob(row[column])));
  const numeric = columns.filter((column) => rows.every((row) => typeof row[column] === "number"));
  const shown = all.value ? rows : rows.slice(0, 8);
  const [x, ...ys] = numeric;
  return (
    <div class="stack">
      {pictures.map((column) => (
        <div class="thumbnails" key={column}>
          {rows.slice(0, SHOWN_PICTURES).map((row, index) => isBlob(row[column]) && <Blob key={index} value={row[column]} small />)}
        </div>
      ))}
      {!pictures.length && x && ys.length > 0 && rows.length > 4 && (
        <Chart x={rows.map((row) => row[x] as number)} xName={axisName(x, schema)} ys={ys.slice(0, 4).map((key) => ({ name: axisName(key, schema), data: rows.map((row) => row[key] as number) }))} />
      )}
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t.result}>
        <table class="data">
          <thead><tr><th scope="col">#</th>{columns.map((column) => <th key={column} scope="col">{axisName(column, schema)}</th>)}</tr></thead>
          <tbody>
            {shown.map((row, index) => (
              <tr key={index}>
                <td class="faint">{index + 1}</td>
                {columns.map((column) => {
                  const each = row[column];
                  return <td key={column}>{isBlob(each) ? <Blob value={each} small /> : inline(each)}</td>;
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > 8 && <button type="button" class="small" onClick={() => (all.value = !all.value)}>{all.value ? "▴" : `▾ ${t.items(rows.length)}`}</button>}
    </div>
  );
}
