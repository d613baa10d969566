import { describe, expect, test } from 'vitest';
import { chooseWay, describeOnlyHere, describeWay } from '../../../../src/standby/rejoin/way.ts';

const able = { kind: 'able', program: '/p/pg_rewind', role: 'postgres' } as const;
const unable = { kind: 'unable', reasons: ['there is no pg_rewind', 'full_page_writes was off'] } as const;

describe('the way of a former primary', () => {
  test('is the cheapest that is sound', () => {
    const words = (why: string | undefined, ability: typeof able | typeof unable, lacking?: string) =>
      describeWay(
        chooseWay(why, lacking, () => ability),
        'b',
      );
    expect(words(undefined, unable)).toBe(
      'Way: nothing is copied, because the history of b contains all WAL of this server',
    );
    expect(words('it left', able)).toBe('Way: pg_rewind from b, because it left');
    expect(words('it left', unable)).toBe(
      'Way: a base backup of b (-B), because it left; no pg_rewind: there is no pg_rewind; full_page_writes was off',
    );
    expect(words(undefined, able, 'WAL lacks')).toBe(
      'Way: a base backup of b (-B), because WAL lacks; no pg_rewind: it would need the same WAL',
    );
    expect(words('it left', able, 'WAL lacks')).toBe(
      'Way: a base backup of b (-B), because it left; no pg_rewind: WAL lacks',
    );
    expect(words('it left', unable, 'WAL lacks')).toMatch(/full_page_writes was off; WAL lacks$/);
  });

  test('is said with what is only there', () => {
    const wal = { fork: 0x5000000n, end: 0x5000100n };
    expect(describeOnlyHere({ ...wal, commits: undefined })).toBe(
      'Only here: 256 bytes of WAL after LSN 0/5000000; how many transactions is not determined',
    );
    expect(describeOnlyHere({ ...wal, commits: { count: 2, last: 0n } })).toBe(
      'Only here: 256 bytes of WAL after LSN 0/5000000, with 2 committed transactions, the last at 1970-01-01 00:00:00+00',
    );
  });
});
