import { describe, expect, test } from 'vitest';
import type { Batch, Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import { commitBatch } from '../../../../src/archiver/delivery/delivery.ts';
import { screen } from '../../../../src/archiver/delivery/left-guard.ts';
import type { WalFile } from '../../../../src/archiver/wal/wal-file.ts';
import type { LeftTimeline } from '../../../../src/postgres/left-timeline.ts';
import { parseLsn } from '../../../../src/postgres/lsn.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import { type RemoteWork, scriptOf } from '../../../../src/system/ssh.ts';

const mark = { timeline: 1, lsn: parseLsn('0/5000060'), by: 'beta' };
const before = '000000010000000000000004';
const fork = '000000010000000000000005';
const behind = '000000010000000000000006';
const next = '000000020000000000000005';

function fileOf(text: string): WalFile {
  const name = parseWalName(text);
  return { path: `/wal/${text}`, name, identity: { size: 16n * 1024n * 1024n } } as unknown as WalFile;
}

interface Standby {
  readonly marks?: readonly LeftTimeline[];
  readonly forks?: readonly LeftTimeline[];
  readonly declared?: readonly LeftTimeline[];
}

/** A delivery whose standby stores everything, except `refused`. */
function deliveryTo({ marks = [], forks, declared = [] }: Standby, refused?: string) {
  const skipped: string[] = [];
  const noteSkipped = (name: string): void => {
    skipped.push(name);
  };
  const run = (work: RemoteWork) => {
    const names = [...scriptOf(work).matchAll(/^commit (\S+)/gm)].map(([, name]) => name ?? '');
    const lines = names.map((name) => (name === refused ? `absent ${name}` : `stored ${name}`));
    return Promise.resolve({ kind: 'done', status: 0, lines });
  };
  const delivery = {
    standby: { name: 's1', ssh_timeout: 1 },
    place: { archivedir: '/a', systemIdentifier: '1', lane: 'l', run: 'r', mode: 'store' },
    sentinel: { left: marks },
    marks: [],
    ownPast: forks === undefined ? undefined : { forks, declared, noteSkipped },
    noteDelivery: () => Promise.resolve(),
    shell: { run, stderr: () => '' },
  } as unknown as Delivery;
  return { delivery, skipped };
}

function batchOf(...names: string[]): Batch {
  return { directory: '/wal', files: names.map(fileOf) };
}

const textsOf = (files: readonly WalFile[]) => files.map(({ name }) => name.text);

describe('a timeline that was left', () => {
  test('ends what an old primary sends at the fork', () => {
    const { delivery } = deliveryTo({ marks: [mark] });
    const { files, trouble } = screen(delivery, batchOf(before, fork, behind).files);
    expect(textsOf(files)).toEqual([before]);
    expect(trouble).toMatchObject({
      kind: 'left',
      mark,
      reason: 'timeline 1 was left at 0/5000060 by beta: this server is an old primary',
      hint: expect.stringMatching(
        /make it a standby of beta: cmd_standby -C FILE --rejoin beta here/,
      ) as unknown,
    });
  });

  test.each([`${behind}.partial`, `${behind}.00000028.backup`, '00000001.history', next, before])(
    'does not concern %s',
    (name) => {
      const { delivery } = deliveryTo({ marks: [mark] });
      expect(screen(delivery, batchOf(name).files)).toMatchObject({ skipped: [], trouble: undefined });
    },
  );

  test('is no matter of a standby without marks', () => {
    const { delivery } = deliveryTo({});
    expect(textsOf(screen(delivery, batchOf(fork, behind).files).files)).toEqual([fork, behind]);
  });

  test('that this server left itself is skipped, and the rest is sent', () => {
    const { delivery } = deliveryTo({ marks: [mark], forks: [mark] });
    const { files, accepted, trouble } = screen(delivery, batchOf(before, fork, behind, next).files);
    expect([textsOf(files), textsOf(accepted)]).toEqual([
      [before, next],
      [before, fork, behind, next],
    ]);
    expect(trouble).toBeUndefined();
  });

  test('a history that continues past the fork is not that of the new primary', () => {
    const later = { ...mark, lsn: parseLsn('0/7000000') };
    const { delivery } = deliveryTo({ marks: [mark], forks: [later] });
    expect(screen(delivery, batchOf(fork).files).trouble).toMatchObject({ kind: 'left' });
  });

  test('what the primary declares left holds even where the standby was not informed', () => {
    const { delivery } = deliveryTo({ forks: [mark], declared: [mark] });
    expect(textsOf(screen(delivery, batchOf(before, fork).files).files)).toEqual([before]);
  });
});

describe('the commit of a batch with files that are skipped', () => {
  test('counts them as delivered, in their order, and says so', async () => {
    const { delivery, skipped } = deliveryTo({ marks: [mark], forks: [mark] });
    const result = await commitBatch(delivery, batchOf(before, fork, next));
    expect(textsOf(result.delivered)).toEqual([before, fork, next]);
    expect(result.trouble).toBeUndefined();
    expect(skipped).toEqual([fork]);
  });

  test('stops at the first file that the standby does not confirm', async () => {
    const { delivery, skipped } = deliveryTo({ marks: [mark], forks: [mark] }, next);
    const result = await commitBatch(delivery, batchOf(before, fork, next));
    expect(textsOf(result.delivered)).toEqual([before, fork]);
    expect(result.trouble).toMatchObject({ kind: 'in-recovery' });
    expect(skipped).toEqual([fork]);
  });

  test('of an old primary delivers up to the fork and then says why not more', async () => {
    const { delivery } = deliveryTo({ marks: [mark] });
    const result = await commitBatch(delivery, batchOf(before, fork));
    expect(textsOf(result.delivered)).toEqual([before]);
    expect(result.trouble).toMatchObject({ kind: 'left' });
  });
});
