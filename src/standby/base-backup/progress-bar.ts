import cliProgress from 'cli-progress';
import { amountText, isCounting, phaseText, shareDone, type ProgressState } from './progress-state.ts';
import type { Watcher } from './progress.ts';

const barWidth = 24;
/** What does not fit would wrap, and each redrawing would begin a new line. */
const leastBarColumns = 100;

function lineOf(state: ProgressState, columns: number, nowMs: () => number): string {
  if (!isCounting(state)) return `Base backup: ${phaseText(state)} …`.slice(0, columns);
  const share = shareDone(state);
  const full = Math.round(barWidth * share);
  const bar = columns < leastBarColumns ? '' : `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}] `;
  const text = `Base backup: ${phaseText(state)} ${bar}${Math.floor(100 * share)} % ${amountText(state, nowMs())}`;
  return text.slice(0, columns);
}

/** For a terminal: one line that is redrawn in place, and taken away for whatever else is written meanwhile. */
export function progressBar(stream: NodeJS.WriteStream, nowMs: () => number): Watcher {
  let last: ProgressState | undefined;
  const open = (): cliProgress.SingleBar => {
    const bar = new cliProgress.SingleBar({
      stream,
      fps: 5,
      clearOnComplete: true,
      hideCursor: false,
      format: (_options, { maxWidth }) =>
        last === undefined ? '' : lineOf(last, Math.max(20, maxWidth - 1), nowMs),
    });
    bar.start(1, 0);
    return bar;
  };
  let bar: cliProgress.SingleBar | undefined;
  return {
    show: (state) => {
      const isNews = state.phase !== last?.phase;
      last = state;
      bar ??= open();
      bar.update(shareDone(state));
      // A phase of a moment is drawn, too.
      if (isNews) bar.render();
    },
    around: (write) => {
      bar?.stop();
      bar = undefined;
      write();
      if (last !== undefined) bar = open();
    },
    stop: () => {
      bar?.stop();
      bar = undefined;
      last = undefined;
    },
  };
}
