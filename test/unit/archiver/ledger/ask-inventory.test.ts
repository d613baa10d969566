import { describe, expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import type { Lane } from '../../../../src/archiver/lane/lane.ts';
import { askInventory } from '../../../../src/archiver/ledger/ask-inventory.ts';
import { firstLsnOf, formatLsn, nameOf, parseLsn } from '../../../../src/postgres/lsn.ts';
import type { AnswerOf } from '../../../../src/verbs/verbs.ts';

const layout = { segmentSize: 1024 * 1024, walSegmentSkipsFF: false };
const text = (number: number, timeline = 1): string => nameOf(timeline, number, layout).text;
const lsnOf = (number: number): string =>
  formatLsn(firstLsnOf(nameOf(1, number, layout), layout.segmentSize));
const at = '2026-11-28T10:00:00.000Z';
const range = { timeline: 1, first: 10, last: 20, firstAt: at, lastAt: at, learned: 0 };
const held = (name: string) => ({ name, size: layout.segmentSize });

/** Asks a standby that answers like this, by the location from which it is asked. */
async function ask(answerTo: (from: bigint) => Partial<AnswerOf<'inventory'>>) {
  let questions = 0;
  const run = ({ request = '' }: { readonly request?: string }) => {
    const from = /^inventory (\S+)/.exec(request)?.[1];
    if (from === undefined) {
      const sentinel = ['system_identifier: 7', 'standby: b', 'program: /bin/cmd_standby', 'ini: /etc/b.ini'];
      return Promise.resolve({ kind: 'ended', status: 0, lines: sentinel.map((line) => `: ${line}`) });
    }
    questions += 1;
    if (questions > 100) throw new Error('it is asked without end');
    const answer = {
      systemIdentifier: '7',
      server: 'recovering',
      restartpoint: { timeline: 1, lsn: lsnOf(10) },
      files: [],
      ...answerTo(parseLsn(from)),
    };
    return Promise.resolve({ kind: 'ended', status: 0, lines: [`answer: ${JSON.stringify(answer)}`] });
  };
  const deps = {
    settings: { includepath: [], ssh_debug: false },
    withRemoteShell: async (_deps: unknown, target: unknown, use: (shell: object) => Promise<unknown>) => ({
      kind: 'used',
      value: await use({ target, run }),
    }),
  } as unknown as ArchiverDeps;
  const ssh = { program: process.execPath, args: [] };
  const standby = { host: 'b', user: 'postgres', ssh, ssh_timeout: 5, r_archivedir: '/archive' };
  const lane = { name: 'b', standby } as unknown as Lane;
  const asked = await askInventory(deps, lane, '7', false, { ranges: [range], layout });
  return { asked, questions };
}

describe('a standby whose answers are not complete', () => {
  test('is asked on, up to the last segment that was delivered to it', async () => {
    const { asked, questions } = await ask((from) => {
      const number = Math.max(10, Number(from) / layout.segmentSize);
      return { files: [held(text(number))], incompleteFrom: lsnOf(number + 1) };
    });
    expect(questions).toBe(11);
    expect(asked).toMatchObject({ kind: 'answered' });
    if (asked.kind === 'answered')
      expect([...asked.inventory.files.keys()]).toEqual(
        Array.from({ length: 11 }, (_, index) => text(10 + index)),
      );
  });

  test('is not asked again from within the same segment', async () => {
    const { asked, questions } = await ask((from) => ({ incompleteFrom: formatLsn(from + 1n) }));
    expect(questions).toBe(1);
    expect(asked).toEqual({ kind: 'unknown', reason: 'its answers do not come to an end' });
  });
});

test('only the names that the ledger can ask for are kept', async () => {
  const { asked } = await ask(() => ({
    files: [text(10), text(21), text(15, 9), '00000002.history'].map(held),
    aside: [text(11), text(11, 9)],
  }));
  if (asked.kind !== 'answered') throw new Error(asked.reason);
  expect([...asked.inventory.files.keys()]).toEqual([text(10)]);
  expect([...asked.inventory.aside]).toEqual([text(11)]);
});
