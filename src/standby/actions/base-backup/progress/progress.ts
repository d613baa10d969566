import type { Log } from '../../../../system/log.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { OnBackupEvent } from './events.ts';
import {
  afterEvent,
  amountTexts,
  isCounting,
  noProgress,
  phaseText,
  type ProgressState,
  shareDone,
} from './progress-state.ts';

/** Shows the progress of a base backup. */
export interface Watcher {
  readonly show: (state: ProgressState) => void;
  /** Removes the bar while other output is written. */
  readonly around: (write: () => void) => void;
  readonly stop: () => void;
}

function numbersOf({ phase, planned, done }: ProgressState) {
  return {
    phase,
    bytes: done.bytes,
    files: done.files,
    plannedBytes: planned?.bytes,
    plannedFiles: planned?.files,
  };
}

/** For a log: one line for each phase, and one at regular intervals in between. */
function progressLog(log: Log, everyMs: number, nowMs: () => number): Watcher {
  let last: ProgressState | undefined;
  // The workers may change between tablespaces and data repeatedly.
  const said = new Set<ProgressState['phase']>();
  const say = (): void => {
    if (last === undefined) return;
    const percent = `${Math.floor(100 * shareDone(last))} %`;
    const amount = isCounting(last) ? `, ${percent}: ${amountTexts(last, nowMs())[0] ?? ''}` : '';
    log.notice(`base backup: ${phaseText(last)}${amount}`, numbersOf(last));
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

/** The deps of a base backup whose progress is shown: its messages are written around the progress bar. */
export interface Watched {
  readonly deps: StandbyDeps;
  readonly onEvent: OnBackupEvent;
}

/**
 * The terminal for the progress: standard error, where the log goes, or else standard output. A terminal that cannot
 * move its cursor gets lines.
 */
function findTerminal(json: boolean): NodeJS.WriteStream | undefined {
  if (process.env['TERM'] === 'dumb') return undefined;
  if (process.stderr.isTTY) return process.stderr;
  return process.stdout.isTTY && !json ? process.stdout : undefined;
}

async function createWatcher(deps: StandbyDeps, json: boolean): Promise<Watcher> {
  const terminal = deps.settings.log_format === 'json' ? undefined : findTerminal(json);
  if (terminal === undefined)
    return progressLog(deps.log, deps.settings.progress_interval * 1000, deps.monotonicMs);
  const { progressBar } = await import('./progress-bar.ts');
  return progressBar(terminal, deps.monotonicMs);
}

function wrapLog({ log, settings }: StandbyDeps, around: Watcher['around']): Log {
  const wrap =
    (level: keyof Log): Log['notice'] =>
    (message, facts) => {
      around(() => {
        log[level](message, facts);
      });
    };
  // A message that is not shown need not remove the bar.
  const debug: Log['debug'] = settings.debug ? wrap('debug') : () => undefined;
  return { debug, notice: wrap('notice'), warning: wrap('warning'), error: wrap('error') };
}

/** Runs `use` and shows its progress on a terminal or in the log. */
export async function withProgress<T>(
  deps: StandbyDeps,
  json: boolean,
  use: (watched: Watched) => Promise<T>,
): Promise<T> {
  const watcher = await createWatcher(deps, json);
  const watchedDeps: StandbyDeps = {
    ...deps,
    log: wrapLog(deps, watcher.around),
    report: (line) => {
      watcher.around(() => {
        deps.report(line);
      });
    },
  };
  let state = noProgress;
  try {
    return await use({
      deps: watchedDeps,
      onEvent: (event) => {
        state = afterEvent(state, event, deps.monotonicMs());
        watcher.show(state);
      },
    });
  } finally {
    watcher.stop();
  }
}
