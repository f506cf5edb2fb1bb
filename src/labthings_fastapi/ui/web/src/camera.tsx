// Camera streams: the frames come over the socket of the page, each when the last one is drawn.
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { url } from "./api";
import { socket, thingId, type Description } from "./store";
import { t } from "./texts";

const RATE_OVER = 2_000; // ms

export function Streams({ thing, description }: { thing: string; description: Description }): VNode | null {
  const names = (description.links ?? [])
    .filter((link) => link.rel === "labthings:stream" && link.type?.startsWith("multipart/"))
    .map((link) => link.href.split("/").pop()!);
  if (!names.length) return null;
  return <>{names.map((name) => <Stream key={`${thing}/${name}`} thing={thing} name={name} />)}</>;
}

function Stream({ thing, name }: { thing: string; name: string }): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const rate = useSignal(0);
  const dropped = useSignal(0);
  const hasFrame = useSignal(false);
  useEffect(() => {
    const times: number[] = [];
    let last = -1;
    let drawing = false;
    const end = socket.view(thingId(thing), name, (frame) => {
      if (last >= 0 && frame.index > last + 1) dropped.value += frame.index - last - 1;
      last = frame.index;
      const now = performance.now();
      times.push(now);
      while (times.length && times[0]! < now - RATE_OVER) times.shift();
      rate.value = times.length > 1 ? ((times.length - 1) * 1000) / (now - times[0]!) : 0;
      if (drawing || document.hidden) return;
      drawing = true;
      createImageBitmap(new Blob([frame.data], { type: frame.contentType }))
        .then((picture) => {
          const target = canvas.current;
          if (target) {
            if (target.width !== picture.width) target.width = picture.width;
            if (target.height !== picture.height) target.height = picture.height;
            target.getContext("2d")?.drawImage(picture, 0, 0);
            hasFrame.value = true;
          }
          picture.close();
        })
        .catch(() => undefined) // a frame that is no picture is left out
        .finally(() => (drawing = false));
    });
    return end;
  }, [thing, name]);
  const label = `${t.camera}: ${name}`;
  return (
    <section class="card stream" aria-label={label}>
      <div class="row">
        <h2>{name}</h2>
        <span class="grow" />
        <span class="faint" aria-live="off">{t.fps(rate.value)}{dropped.value > 0 && ` · ${t.dropped(dropped.value)}`}</span>
        <a class="button" href={url(`${thing}/${name}/snapshot`)} download={`${thing}-${name}.jpg`}>{t.snapshot}</a>
      </div>
      <canvas ref={canvas} role="img" aria-label={label} class={hasFrame.value ? "" : "waiting"} />
    </section>
  );
}
