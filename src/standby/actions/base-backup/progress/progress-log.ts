import type { Log } from '../../../../system/log.ts';
import type { Watcher } from './progress.ts';
import { amountText, isCounting, phaseText, type ProgressState, shareDone } from './progress-state.ts';

function facts({ phase, planned, done }: ProgressState) {
  return {
    phase,
    bytes: done.bytes,
    files: done.files,
    plannedBytes: planned?.bytes,
    plannedFiles: planned?.files,
  };
}

/** For a log: one line for each phase, and one at regular intervals in between. */
export function progressLog(log: Log, everyMs: number, nowMs: () => number): Watcher {
  let last: ProgressState | undefined;
  // The workers may change between tablespaces and data repeatedly.
  const said = new Set<ProgressState['phase']>();
  const say = (): void => {
    if (last === undefined) return;
    const percent = `${Math.floor(100 * shareDone(last))} %`;
    const amount = isCounting(last) ? `, ${percent}: ${amountText(last, nowMs())}` : '';
    log.notice(`base backup: ${phaseText(last)}${amount}`, facts(last));
  };
  const timer = everyMs === 0 ? undefined : setInterval(say, everyMs);
  return {
    show: (state) => {
      last = state;
      if (said.has(state.phase)) return;
      said.add(state.phase);
      say();
    },
    around: (write) => {
      write();
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}
