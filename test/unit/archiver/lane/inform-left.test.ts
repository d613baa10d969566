import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { informLeft } from '../../../../src/archiver/lane/inform-left.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import {
  divergedFrom,
  noteStandings,
  rememberRestored,
  restoredFor,
} from '../../../../src/archiver/lane/left-state.ts';
import { createLedgerMemory } from '../../../../src/archiver/ledger/ledger.ts';
import type { LeftTimeline } from '../../../../src/postgres/left-timeline.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { parseWalName, type SegmentName } from '../../../../src/postgres/wal-name.ts';
import { type RemoteShell, scriptOf } from '../../../../src/system/ssh.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const mark = { timeline: 1, lsn: parseLsn('0/5000060'), by: 'beta' };
const cluster = {
  systemIdentifier: '42',
  timeline: 1,
  segmentSize: 16 * 1024 * 1024,
  isInRecovery: false,
};
const behind = parseWalName('000000010000000000000006') as SegmentName;

interface Standby {
  readonly left?: readonly LeftTimeline[];
  readonly newest?: readonly SegmentName[];
  readonly declared?: readonly LeftTimeline[];
  readonly forks?: readonly LeftTimeline[];
  /** Of its answer to each question; the text means that it breaks off. */
  readonly answer?: object | 'breaks off';
  /** How long it takes over each question. */
  readonly tookMs?: number;
  /** Nothing can be written in l_archivedir. */
  readonly isFull?: boolean;
  /** The history of the server here cannot be determined. */
  readonly isUnknown?: boolean;
}

/** The greeting of a standby that answers each question in the same way. */
function greetingOf({
  left = [],
  newest = [],
  declared = [],
  forks = declared,
  answer = {},
  tookMs = 0,
  isFull = false,
  isUnknown = false,
}: Standby) {
  const questions: string[] = [];
  const clock = { ms: 1_000_000 };
  const nowMs = () => clock.ms;
  const warnings: string[] = [];
  const start: RemoteShell['start'] = (work, { onLine }) => {
    const program = scriptOf(work);
    clock.ms += tookMs;
    questions.push(/(?:un)?(?:mark|check)-left [^']*/.exec(program)?.[0] ?? program);
    if (answer !== 'breaks off') onLine(`answer: ${JSON.stringify(answer)}`);
    const ended = Promise.resolve({ kind: 'exited', code: answer === 'breaks off' ? 255 : 0, stderr: '' });
    const nothing = () => undefined;
    return { close: nothing, kill: nothing, ended } as unknown as ReturnType<RemoteShell['start']>;
  };
  const run = () => Promise.reject(new Error('a script of the connection'));
  const silent = () => undefined;
  const log = { debug: silent, notice: silent, warning: (text: string) => warnings.push(text) };
  const command = { program: '/p', iniFile: '/i' };
  const sentinel = { systemIdentifier: '42', standby: 's1', primaryPgdata: undefined, command, left };
  const ledgerDirectory = temporaryDirectory();
  const lane = {
    name: 's1',
    standby: { ssh_timeout: 1 },
    leftFile: join(temporaryDirectory(), isFull ? 'missing' : '', 's1.left'),
    unnoted: {},
    ledger: createLedgerMemory(),
    ledgerDirectory,
    ledgerEvents: join(ledgerDirectory, 's1@events'),
  } as unknown as Lane;
  const deps = { log, now: nowMs, monotonicMs: nowMs } as unknown as ArchiverDeps;
  const inform = () =>
    informLeft(
      deps,
      lane,
      cluster,
      {
        shell: { run, start, target: { what: 'the standby' } } as unknown as RemoteShell,
        sentinel: { ...sentinel, promotedAtTimeline: undefined },
        newest,
      },
      {
        forks,
        declared,
        unconfirmed: declared.includes(mark) ? [] : [{ mark, message: 'ignored', hint: '' }],
        unknown: isUnknown ? 'no history' : undefined,
      },
      5_000,
    );
  return { clock, deps, inform, lane, questions, warnings };
}

const marked = { mark: '1 0/5000060 beta', standing: 'diverged', moved: [], aside: [] };
const unmarked = { returned: [], kept: [] };

describe('at a greeting', () => {
  test('a mark that is just taken back is not set again, although WAL from behind it stands there', async () => {
    const { inform, lane, questions } = greetingOf({ left: [mark], newest: [behind], answer: unmarked });
    await rememberRestored(lane, mark);
    expect(await inform()).toEqual({ isChanged: true, concern: undefined });
    expect(questions).toEqual(['unmark-left 1 42']);
    expect(await restoredFor(lane)).toEqual([]);
  });

  test('a mark is not taken back any more once this server has left the timeline itself', async () => {
    const { inform, lane, questions } = greetingOf({ left: [mark], declared: [mark] });
    await rememberRestored(lane, mark);
    expect(await inform()).toEqual({ isChanged: false, concern: undefined });
    expect(questions).toEqual([]);
    expect(await restoredFor(lane)).toEqual([]);
  });

  test('a mark that it could not be asked to forget is remembered, and not set again either', async () => {
    const { inform, lane, questions } = greetingOf({ left: [mark], answer: 'breaks off' });
    await rememberRestored(lane, mark);
    expect(await inform()).toEqual({ isChanged: false, concern: undefined });
    expect(questions).toEqual(['unmark-left 1 42']);
    expect(await restoredFor(lane)).toEqual([mark]);
  });

  test('a standby is informed of a mark that it lacks, and not of one that it has', async () => {
    const lacking = greetingOf({ declared: [mark], answer: marked });
    expect(await lacking.inform()).toEqual({ isChanged: true, concern: undefined });
    expect(lacking.questions).toEqual(['mark-left 1 0/5000060 beta 42']);
    expect(await divergedFrom(lacking.lane, [mark])).toEqual(mark);
    // Nothing shows later that it has followed, or never went past.
    await noteStandings(lacking.deps, lacking.lane, [{ mark, standing: 'unknown' }]);
    expect(await divergedFrom(lacking.lane, [mark])).toEqual(mark);
    await noteStandings(lacking.deps, lacking.lane, [{ mark, standing: 'before' }]);
    expect(await divergedFrom(lacking.lane, [mark])).toBeUndefined();
    const knowing = greetingOf({ left: [mark], declared: [mark] });
    expect(await knowing.inform()).toEqual({ isChanged: false, concern: undefined });
    expect(knowing.questions).toEqual([]);
  });

  test('one that breaks off is a concern, and no end of the connection', async () => {
    const { inform } = greetingOf({ declared: [mark], answer: 'breaks off' });
    expect(await inform()).toMatchObject({ isChanged: false, concern: { kind: 'unmarked' } });
  });

  test('WAL that stands there against a mark of its own is moved aside, without setting a mark', async () => {
    const { inform, questions } = greetingOf({ left: [mark], newest: [behind], answer: { moved: [] } });
    expect(await inform()).toEqual({ isChanged: false, concern: undefined });
    expect(questions).toEqual(['check-left 1 42']);
  });

  test('one that hangs is not asked again at once, nor any further question', async () => {
    const second = { ...mark, timeline: 2 };
    const standby: Standby = { declared: [mark, second], answer: 'breaks off', tookMs: 5_000 };
    for (const isFull of [false, true]) {
      const { clock, inform, questions } = greetingOf({ ...standby, isFull });
      const { concern } = await inform();
      expect(concern).toMatchObject({ kind: 'unmarked' });
      expect(await inform()).toEqual({ isChanged: false, concern });
      expect(questions).toHaveLength(1);
      clock.ms += 60_000;
      await inform();
      expect(questions).toHaveLength(2);
    }
  });

  test('one whose cmd_standby fails at once is asked at each greeting', async () => {
    const { inform, questions } = greetingOf({ declared: [mark], answer: 'breaks off', tookMs: 300 });
    await inform();
    await inform();
    expect(questions).toHaveLength(2);
  });

  test('a history that cannot be determined is a concern, unless the standby knows of the mark', async () => {
    const { inform } = greetingOf({ isUnknown: true });
    const concern = { kind: 'unmarked', reason: 'ignored', hint: '' };
    expect(await inform()).toEqual({ isChanged: false, concern });
    const knowing = greetingOf({ left: [mark], isUnknown: true });
    await rememberRestored(knowing.lane, mark);
    expect(await knowing.inform()).toEqual({ isChanged: false, concern: undefined });
    expect(knowing.questions).toEqual([]);
    expect(await restoredFor(knowing.lane)).toEqual([mark]);
  });

  test('a full disk here hinders nothing', async () => {
    const { inform, lane, questions } = greetingOf({ declared: [mark], answer: marked, isFull: true });
    expect(await inform()).toEqual({ isChanged: true, concern: undefined });
    expect(questions).toEqual(['mark-left 1 0/5000060 beta 42']);
    await expect(rememberRestored(lane, mark)).rejects.toThrow('cannot write');
  });

  test('a mark of this host that does not count is said once', async () => {
    const { inform, warnings } = greetingOf({});
    await inform();
    await inform();
    expect(warnings).toEqual(['ignored']);
  });
});
