// The inputs of a Field: one control for each kind of schema that a Thing Description can have.
import type { ComponentChildren, VNode } from "preact";
import { ask, words } from "./api";
import { title as plain } from "./format";
import { exampleOf, Field, hintOf, limitsOf, unitOf, type Schema } from "./schema";
import { t } from "./texts";
import { signal, useSignal } from "@preact/signals";

let ids = 0;
const idFor = new WeakMap<Field, string>();
function idOf(field: Field): string {
  let id = idFor.get(field);
  if (!id) idFor.set(field, (id = `field-${(ids += 1)}`));
  return id;
}

interface ControlProps {
  field: Field;
  label: string;
  disabled?: boolean;
  /** Called when Enter is pressed in a single line. */
  onEnter?: () => void;
  onChange?: () => void;
}

function describedBy(field: Field, hint: string): string | undefined {
  const id = idOf(field);
  return [field.mistake.value && `${id}-mistake`, hint && `${id}-hint`].filter(Boolean).join(" ") || undefined;
}

/** The control alone; its label is elsewhere. */
export function Control({ field, label, disabled, onEnter, onChange }: ControlProps): VNode {
  const { schema, kind } = field;
  const hint = hintOf(schema);
  const common = {
    id: idOf(field),
    disabled,
    "aria-label": label,
    "aria-invalid": field.mistake.value ? true : undefined,
    "aria-describedby": describedBy(field, hint),
  };
  const touch = (): void => {
    field.touched.value = true;
    field.included.value = true;
    field.mistake.value = "";
    onChange?.();
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && onEnter) {
      event.preventDefault();
      onEnter();
    }
  };
  switch (kind) {
    case "number": {
      const { low, high, step } = limitsOf(schema);
      const unit = unitOf(schema);
      const hasSlider = low !== undefined && high !== undefined && high - low < 1e6;
      const present = Number(field.text.value);
      return (
        <span class="number">
          <span class="with-unit">
            <input
              {...common}
              type="text"
              inputMode="decimal"
              autocomplete="off"
              value={field.text.value}
              placeholder={field.required ? "" : t.notSent}
              onInput={(event) => {
                field.text.value = event.currentTarget.value;
                touch();
              }}
              onKeyDown={keys}
            />
            {unit && <span class="unit">{unit}</span>}
          </span>
          {hasSlider && (
            <input
              class="slider"
              type="range"
              aria-label={`${label}, ${hint}`}
              disabled={disabled}
              min={low}
              max={high}
              step={step === "any" ? (high - low) / 200 : step}
              value={Number.isFinite(present) && field.text.value !== "" ? present : low}
              onInput={(event) => {
                field.text.value = String(Number(Number(event.currentTarget.value).toPrecision(6)));
                touch();
              }}
            />
          )}
        </span>
      );
    }
    case "boolean":
      if (!field.required && field.schema.default === undefined) {
        return (
          <select {...common} value={String(field.flag.value)} onChange={(event) => {
            const { value } = event.currentTarget;
            field.flag.value = value === "null" ? null : value === "true";
            touch();
          }}>
            <option value="null">{t.notSent}</option>
            <option value="true">{t.yes}</option>
            <option value="false">{t.no}</option>
          </select>
        );
      }
      return (
        <input {...common} type="checkbox" role="switch" checked={field.flag.value ?? false} onChange={(event) => {
          field.flag.value = event.currentTarget.checked;
          touch();
        }} />
      );
    case "choice":
      return (
        <select {...common} value={String(field.choice.value)} onChange={(event) => {
          field.choice.value = Number(event.currentTarget.value);
          touch();
        }}>
          {(field.choice.value < 0 || !field.required) && <option value="-1">{field.required ? "" : t.notSent}</option>}
          {(schema.enum ?? []).map((each, index) => (
            <option key={index} value={String(index)}>{nameOfChoice(schema, index, each)}</option>
          ))}
        </select>
      );
    case "fixed":
      return <code>{JSON.stringify(schema.const)}</code>;
    case "time":
      return <input {...common} type="datetime-local" step="1" value={field.text.value} onInput={(event) => {
        field.text.value = event.currentTarget.value;
        touch();
      }} onKeyDown={keys} />;
    case "text":
      return <input {...common} type="text" autocomplete="off" value={field.text.value} placeholder={exampleOf(schema)} onInput={(event) => {
        field.text.value = event.currentTarget.value;
        touch();
      }} onKeyDown={keys} />;
    case "object":
      return (
        <div class="sub" role="group" aria-label={label}>
          {[...field.members].map(([name, inner]) => <Labelled key={name} field={inner} name={name} disabled={disabled} onChange={touch} onEnter={onEnter} />)}
        </div>
      );
    case "map":
      return (
        <div class="sub" role="group" aria-label={label}>
          {field.items.value.map((inner, index) => (
            <div class="entry" key={idOf(inner)}>
              <input type="text" aria-label={t.nameOfEntry} placeholder={t.nameOfEntry} disabled={disabled} value={field.keys.value[index]} onInput={(event) => {
                field.keys.value = field.keys.value.map((each, at) => (at === index ? event.currentTarget.value : each));
                touch();
              }} />
              <Control field={inner} label={`${label} ${field.keys.value[index]}`} disabled={disabled} onChange={touch} onEnter={onEnter} />
              <Mistake field={inner} />
              <RemoveButton field={field} index={index} disabled={disabled} onChange={touch} />
            </div>
          ))}
          <AddButton field={field} disabled={disabled} onChange={touch} />
        </div>
      );
    case "tuple":
      return (
        <div class="tuple" role="group" aria-label={label}>
          {field.items.value.map((inner, index) => (
            <span class="entry" key={index}>
              <Control field={inner} label={`${label} ${index + 1}`} disabled={disabled} onChange={touch} onEnter={onEnter} />
              <Mistake field={inner} />
            </span>
          ))}
        </div>
      );
    case "list":
      return (
        <div class="sub" role="group" aria-label={label}>
          {field.items.value.map((inner, index) => (
            <div class="entry" key={idOf(inner)}>
              <Control field={inner} label={`${label} ${index + 1}`} disabled={disabled} onChange={touch} onEnter={onEnter} />
              <Mistake field={inner} />
              <RemoveButton field={field} index={index} disabled={disabled} onChange={touch} />
            </div>
          ))}
          <AddButton field={field} disabled={disabled} onChange={touch} />
        </div>
      );
    case "variant":
      return (
        <div class="variant">
          <select aria-label={label} disabled={disabled} value={String(field.choice.value)} onChange={(event) => {
            field.pick(Number(event.currentTarget.value));
            touch();
          }}>
            {(schema.oneOf ?? []).map((each, index) => <option key={index} value={String(index)}>{nameOfVariant(each)}</option>)}
          </select>
          {field.items.value[0] && <Control key={field.choice.value} field={field.items.value[0]} label={label} disabled={disabled} onChange={touch} onEnter={onEnter} />}
          {field.items.value[0] && <Mistake field={field.items.value[0]} />}
        </div>
      );
    case "blob":
      return <BlobInput field={field} label={label} disabled={disabled} onChange={touch} />;
    default:
      return <textarea {...common} rows={2} class="json" spellcheck={false} placeholder={t.json} value={field.text.value} onInput={(event) => {
        field.text.value = event.currentTarget.value;
        touch();
      }} />;
  }
}

export const uploads = signal<string | null>(null);

function BlobInput({ field, label, disabled, onChange }: ControlProps): VNode {
  const failure = useSignal("");
  return (
    <div class="sub">
      <input id={idOf(field)} type="text" aria-label={label} placeholder={t.addressOfData} disabled={disabled} value={field.text.value} onInput={(event) => {
        field.text.value = event.currentTarget.value;
        onChange?.();
      }} />
      <label class="upload">{t.upload} <input type="file" disabled={disabled} onChange={(event) => {
        const file = event.currentTarget.files?.[0];
        if (!file) return;
        failure.value = "";
        ask("blob", { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } })
          .then(async (answer) => {
            field.text.value = ((await answer.json()) as { href: string }).href;
            onChange?.();
          })
          .catch((error: unknown) => (failure.value = words(error)));
      }} /></label>
      {failure.value && <p class="mistake">{failure.value}</p>}
    </div>
  );
}

function AddButton({ field, disabled, onChange }: { field: Field; disabled?: boolean; onChange: () => void }): VNode {
  const full = field.items.value.length >= (field.schema.maxItems ?? Infinity);
  return <button type="button" class="small" disabled={disabled || full} onClick={() => {
    field.addEntry();
    onChange();
  }}>+ {t.add}</button>;
}

function RemoveButton({ field, index, disabled, onChange }: { field: Field; index: number; disabled?: boolean; onChange: () => void }): VNode {
  return <button type="button" class="small quiet" aria-label={`${t.remove} ${index + 1}`} title={t.remove} disabled={disabled} onClick={() => {
    field.removeEntry(index);
    onChange();
  }}>✕</button>;
}

function nameOfChoice(schema: Schema, index: number, value: unknown): string {
  const named = schema.oneOf?.[index]?.title;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return named ? `${named} (${text})` : text;
}

function nameOfVariant(schema: Schema): string {
  if (schema.title) return schema.title;
  if (schema.type === "null") return t.nothing;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const names = Object.keys(schema.properties ?? {});
  if (names.length) return names.slice(0, 4).join(", ");
  return schema.type ?? schema.oneOf?.map(nameOfVariant).join(" / ") ?? t.json;
}

export function Mistake({ field }: { field: Field }): VNode | null {
  if (!field.mistake.value) return null;
  return <p class="mistake" id={`${idOf(field)}-mistake`} role="alert">{field.mistake.value}</p>;
}

/** A control with its name, its explanation and its limits. */
export function Labelled({ field, name, disabled, onChange, onEnter }: { field: Field; name: string; disabled?: boolean; onChange?: () => void; onEnter?: () => void }): VNode {
  const { schema, kind } = field;
  const hint = [hintOf(schema), field.required ? "" : t.optional].filter(Boolean).join(" · ");
  const explained = schema.title ?? schema.description;
  const inner: ComponentChildren = [
    <span class="label-line" key="label">
      <span class="label">{name}</span>
      {hint && <span class="hint" id={`${idOf(field)}-hint`}>{hint}</span>}
    </span>,
    <Control key="control" field={field} label={name} disabled={disabled} onChange={onChange} onEnter={onEnter} />,
  ];
  return (
    <div class={`labelled kind-${kind}`}>
      {inner}
      {explained && <p class="explained">{withoutUnit(plain(explained, ""), unitOf(schema))}</p>}
      <Mistake field={field} />
    </div>
  );
}

// Descriptions often repeat the unit in brackets, which stands beside the field already.
function withoutUnit(text: string, unit: string): string {
  return unit ? text.replace(` (${unit})`, "") : text;
}
