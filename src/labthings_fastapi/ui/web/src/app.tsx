// The frame around all screens: what is always there.
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { Overview } from "./overview";
import { Failure, When } from "./parts";
import { route } from "./router";
import { RunScreen } from "./run";
import { Runs } from "./runs";
import { Server } from "./server";
import { SignIn, Who } from "./signin";
import { StopButton, StopReport } from "./stop";
import { clock, loaded, loadFailure, notice, socket, things } from "./store";
import { t } from "./texts";
import { ThingScreen } from "./thing";
import { switchTheme, theme } from "./theme";
import { time } from "./format";

const SCREENS: [string, string, string[]][] = [
  ["", t.overview, ["", "thing"]],
  ["runs", t.runs, ["runs", "run"]],
  ["server", t.server, ["server"]],
];

export function App(): VNode {
  const { screen, argument } = route.value;
  useEffect(() => {
    const name = screen === "thing" ? (things.value[argument]?.title ?? argument) : (SCREENS.find(([each]) => each === screen)?.[1] ?? t.run_);
    document.title = `${name} · ${location.hostname} · LabThings`;
    window.scrollTo(0, 0);
  }, [screen, argument]);
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => {
        event.preventDefault();
        document.getElementById("content")?.focus();
      }}>{t.skip}</a>
      <header class="top">
        <a class="brand" href="#/"><img src={iconUrl} alt="" width="24" height="24" /><span>LabThings</span></a>
        <nav aria-label={t.main}>
          {SCREENS.map(([address, name, own]) => <a key={address} href={`#/${address}`} aria-current={own.includes(screen) ? "page" : undefined}>{name}</a>)}
        </nav>
        <span class="grow" />
        <Connection />
        <Who />
        <button type="button" class="icon theme" aria-label={t.theme} title={t.theme} onClick={switchTheme}>{theme.value === "dark" ? "☀" : "☾"}</button>
        <StopButton />
      </header>
      <Banners />
      <StopReport />
      <main id="content" tabIndex={-1}>
        {!loaded.value ? <p class="empty">{loadFailure.value ? <Failure title={t.failedToLoad}>{loadFailure.value}</Failure> : t.loading}</p> : <Screen screen={screen} argument={argument} />}
      </main>
      <SignIn />
    </>
  );
}

const iconUrl = new URL("../icon.svg", String(import.meta.url)).href;

function Screen({ screen, argument }: { screen: string; argument: string }): VNode {
  switch (screen) {
    case "":
      return <Overview />;
    case "thing":
      return <ThingScreen key={argument} name={argument} />;
    case "runs":
      return <Runs />;
    case "run":
      return <RunScreen key={argument} id={argument} />;
    case "server":
      return <Server />;
    default:
      return <p class="empty">{t.notFound} <a href="#/">{t.toOverview}</a></p>;
  }
}

function Connection(): VNode {
  const open = socket.open.value;
  return <span class={`connection ${open ? "" : "lost"}`} role="status"><span class="dot" aria-hidden="true" /><span class="connection-word">{open ? t.connected : t.connecting}</span></span>;
}

const GRACE = 1500;

function Banners(): VNode | null {
  const since = socket.since.value;
  const lost = since !== null && clock.value - since > GRACE;
  return (
    <>
      {lost && (
        <div class="banner" role="alert">
          <span>{t.disconnected(time(since))}</span> <When at={since} relative />
          <button type="button" class="small" onClick={() => socket.retry()}>{t.reconnectNow}</button>
        </div>
      )}
      {notice.value && <div class="banner quiet" role="status"><span>{notice.value}</span><button type="button" class="small" onClick={() => (notice.value = "")}>{t.dismiss}</button></div>}
    </>
  );
}
