// What the server is, and how it is.
import type { VNode } from "preact";
import { url } from "./api";
import { duration } from "./format";
import { State } from "./overview";
import { When } from "./parts";
import { toThing } from "./router";
import { health } from "./store";
import { t } from "./texts";

export function Server(): VNode {
  const now = health.value;
  if (!now) return <p class="empty">{t.loading}</p>;
  return (
    <div class="server">
      <div class="row head"><h1>{t.server}</h1></div>
      <section class="card">
        <h2>{t.health}</h2>
        <dl class="members">
          <dt>{t.version}</dt><dd>{now.version}</dd>
          <dt>{t.stateTitle}</dt><dd>{now.status}, {t.uptime(duration(now.uptime, true))}</dd>
          <dt>{t.journal}</dt><dd>{now.journal.state}{now.journal.error && <span class="bad-text">: {now.journal.error}</span>}</dd>
          <dt>{t.security}</dt><dd>{now.security.authentication?.join(", ") ?? t.noAuthentication}</dd>
          <dt>API</dt><dd><a href={url("docs")}>{t.docs}</a></dd>
        </dl>
      </section>
      <section class="card">
        <h2>{t.things(Object.keys(now.things).length)}</h2>
        <div class="scroll-x" tabIndex={0} role="region" aria-label={t.health}>
          <table class="data">
            <thead><tr><th scope="col">{t.filterThing}</th><th scope="col">{t.className}</th><th scope="col">{t.stateTitle}</th><th scope="col" class="wide">{t.reason}</th></tr></thead>
            <tbody>
              {Object.entries(now.things).map(([name, each]) => (
                <tr key={name}>
                  <td><a href={toThing(name)}>{name}</a></td>
                  <td><code>{each.class}</code></td>
                  <td><State state={each.state} /></td>
                  <td class="wide">{each.error} {each.since && <span class="faint">(<When at={each.since} />)</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </div>
  );
}
