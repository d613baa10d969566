import { describe, expect, test } from 'vitest';
import type { TimelineEntry } from '../../../../src/postgres/history.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { judgeStanding } from '../../../../src/standby/server/left-standing.ts';
import type { AnswerOf } from '../../../../src/verbs/verbs.ts';

const mark = { timeline: 2, lsn: parseLsn('0/5000060'), by: 'beta' };

interface Facts {
  readonly server?: AnswerOf<'status'>['server'];
  readonly proved?: readonly [number, string];
  readonly replayed?: string;
  readonly knows?: boolean;
  readonly ancestors?: readonly (readonly [number, string])[];
  readonly next?: boolean;
  readonly was?: boolean;
}

function standing({
  server = 'recovering',
  proved,
  replayed,
  knows = true,
  ancestors = [],
  next = true,
  was = false,
}: Facts) {
  const progress = {
    server,
    ...(proved === undefined ? {} : { proved: { timeline: proved[0], lsn: proved[1] } }),
    ...(replayed === undefined ? {} : { replayed }),
  };
  const entries = ancestors.map(([timeline, lsn]): TimelineEntry => ({
    timeline,
    end: { kind: 'lsn', lsn: parseLsn(lsn) },
  }));
  return judgeStanding(
    { progress, knowsMinRecovery: knows, ancestors: entries, knowsNext: next, wasDiverged: was },
    mark,
  );
}

describe('where a standby stands to a timeline that was left', () => {
  test.each<[string, Facts, string]>([
    ['nothing was replayed there', { server: 'no-data' }, 'before'],
    ['pg_control cannot be read', { server: 'down' }, 'unknown'],
    ['behind the fork', { proved: [2, '0/4000000'], replayed: '0/5000060' }, 'before'],
    ['proved past it', { proved: [2, '0/5000061'], replayed: '0/5000070' }, 'diverged'],
    ['proved past it, and stopped', { server: 'down', proved: [2, '0/6000000'] }, 'diverged'],
    ['replayed past it, of some timeline', { proved: [2, '0/4000000'], replayed: '0/5000070' }, 'unknown'],
    ['… and no other timeline', { proved: [2, '0/4000000'], replayed: '0/5000070', next: false }, 'diverged'],
    ['… after it was seen there', { proved: [2, '0/4000000'], replayed: '0/5000070', was: true }, 'diverged'],
    ['it was, and is before it', { proved: [2, '0/4000000'], replayed: '0/5000060', was: true }, 'before'],
    ['it was, and follows', { proved: [3, '0/5000070'], was: true }, 'followed'],
    ['it was, and has other data now', { server: 'recovering', was: true }, 'unknown'],
    ['stopped before it', { server: 'down', proved: [2, '0/5000060'] }, 'before'],
    ['stopped, and not all is proved', { server: 'down', proved: [2, '0/4000000'], knows: false }, 'unknown'],
    ['it does not answer yet', { server: 'starting', proved: [2, '0/4000000'] }, 'unknown'],
    ['on the next timeline', { proved: [3, '0/5000070'] }, 'followed'],
    ['on an earlier one', { proved: [1, '0/5000070'] }, 'before'],
    ['branched off at the fork', { proved: [3, '0/6000000'], ancestors: [[2, '0/5000060']] }, 'followed'],
    ['branched off after it', { proved: [3, '0/6000000'], ancestors: [[2, '0/5000080']] }, 'diverged'],
  ])('%s', (_, facts, expected) => {
    expect(standing(facts)).toBe(expected);
  });
});
