import cliProgress from 'cli-progress';
import type { Watcher } from './progress.ts';
import { amountTexts, isCounting, phaseText, type ProgressState, shareDone } from './progress-state.ts';

const barWidth = 24;
/**
 * The longest text that fits into one line. A longer line would wrap, and each update would begin a new line. Words are
 * left out whole.
 */
export function lineOf(state: ProgressState, columns: number, atMs: number): string {
  if (!isCounting(state)) return `Base backup: ${phaseText(state)} …`.slice(0, columns);
  const share = shareDone(state);
  const full = Math.round(barWidth * share);
  const bar = `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}]`;
  const begin = `Base backup: ${phaseText(state)}`;
  const percent = `${Math.floor(100 * share)} %`;
  const amounts = amountTexts(state, atMs);
  const lines = [
    `${begin} ${bar} ${percent} ${amounts[0] ?? ''}`,
    ...amounts.map((amount) => `${begin} ${percent} ${amount}`),
    `${begin} ${percent}`,
  ];
  return lines.find((line) => line.length <= columns) ?? percent;
}

/** For a terminal: one line that is redrawn in place, and removed while other output is written. */
export function progressBar(stream: NodeJS.WriteStream, nowMs: () => number): Watcher {
  let last: ProgressState | undefined;
  const open = (): cliProgress.SingleBar => {
    const bar = new cliProgress.SingleBar({
      stream,
      fps: 5,
      clearOnComplete: true,
      hideCursor: false,
      format: (_options, { maxWidth }) =>
        last === undefined ? '' : lineOf(last, Math.max(20, maxWidth - 1), nowMs()),
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
      // Even a very short phase is drawn.
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
