import type { Session } from '../../system/command.ts';
import { inShell } from '../../system/ssh-beside.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import { nameOfLane } from '../../verbs/scripts/delivery.ts';
import { takeReady } from '../../verbs/scripts/take.ts';
import type { Delivery } from './delivery.ts';

/** The parts of a delivery that are needed. */
export type Receiver = Pick<Delivery, 'shell' | 'place'>;

export type TakeSession = ReturnType<typeof openTakeSession>;

interface Waiting {
  readonly lines: string[];
  readonly count: number;
  readonly finish: () => void;
}

/** One session of the standby's script (verbs/scripts/take.ts), beside the connection's shell. */
export function openTakeSession({ shell, place }: Receiver) {
  const { systemIdentifier, run, mode } = place;
  const work = archiveWork('take-segments', place, {
    cluster: systemIdentifier,
    lane: nameOfLane(place),
    run,
    mode,
  });
  let isReady = false;
  let isOver = false;
  let settle = (): void => undefined;
  const settled = new Promise<void>((resolve) => (settle = resolve));
  let waiting: Waiting | undefined;
  const session: Session = shell.start(inShell(work), {
    onLine: (line) => {
      if (waiting !== undefined) {
        waiting.lines.push(line);
        if (waiting.lines.length === waiting.count) waiting.finish();
      }
      // A line that nobody waits for: what follows could be mistaken for an answer.
      else if (isReady || line !== takeReady) end();
      else {
        isReady = true;
        settle();
      }
    },
  });
  const end = (): void => {
    isOver = true;
    settle();
    waiting?.finish();
    session.close();
    session.kill();
  };
  void session.ended.then(end);
  /**
   * @param write writes all that is to be answered
   * @returns the standby's lines; fewer than `count` if it gave no more, after which the session is over
   */
  const exchange = async (
    write: () => Promise<void>,
    count: number,
    limitMs: number,
    stop: AbortSignal | undefined,
  ): Promise<readonly string[]> => {
    const timer = setTimeout(end, limitMs);
    stop?.addEventListener('abort', end, { once: true });
    const lines: string[] = [];
    try {
      await new Promise<void>((finish) => {
        waiting = { lines, count, finish };
        // A file that cannot be read: nobody knows now how many bytes the standby waits for.
        write().catch(end);
      });
      return lines;
    } finally {
      waiting = undefined;
      clearTimeout(timer);
      stop?.removeEventListener('abort', end);
    }
  };
  return {
    exchange,
    write: session.write,
    whenRoom: session.whenRoom,
    end,
    /** Settles when it is ready, or over. */
    settled,
    isReady: () => isReady && !isOver,
    isOver: () => isOver,
  };
}
