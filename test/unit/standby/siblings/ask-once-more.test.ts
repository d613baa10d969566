import { describe, expect, test } from 'vitest';
import type { ArchiverSettings } from '../../../../src/config/options-archiver.ts';
import { pathOf } from '../../../../src/standby/archive/replay-check.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import type { Sibling } from '../../../../src/standby/siblings/ask.ts';
import { askOnceMore } from '../../../../src/standby/siblings/ask-once-more.ts';
import type { AnswerOf } from '../../../../src/verbs/verbs.ts';
import { answering, own, sibling } from './sibling-kit.ts';

type Said = AnswerOf<'status'> | 'silence';

const recovers: Said = { server: 'recovering' };
const beingPromoted = (run: string): Said => ({ server: 'recovering', promotion: run });
const open: Said = { server: 'production', promotedTo: 2 };

const path = pathOf(1, new Map(), own([]).facts.layout);
const withSsh = ({ target, answer }: Sibling): Sibling => ({
  target: { ...target, ssh: { program: process.execPath, args: [] } },
  answer,
});

/** This host's run is named `m`. Each standby gives these answers one after the other, and its last one from then on. */
async function ask(answers: Readonly<Record<string, readonly Said[]>>) {
  let passedMs = 0;
  const asked: string[] = [];
  const said: string[] = [];
  const left = new Map(Object.entries(answers).map(([name, list]) => [name, [...list]]));
  const note = (message: string) => said.push(message);
  const deps = {
    settings: { failover_probe_timeout: 5 },
    signal: new AbortController().signal,
    monotonicMs: () => passedMs,
    pause: (ms: number) => {
      passedMs += ms;
      return Promise.resolve();
    },
    log: { debug: () => undefined, notice: note, warning: note },
    startSession: () => {
      throw new Error('nothing is started here');
    },
    withRemoteShell: (_deps: unknown, { host }: { readonly host: string }) => {
      asked.push(host);
      const list = left.get(host) ?? [];
      const answer = list.length > 1 ? list.shift() : list[0];
      return Promise.resolve(
        answer === 'silence'
          ? { kind: 'unreachable', reason: 'timed out' }
          : { kind: 'used', value: { kind: 'answered', answer } },
      );
    },
  } as unknown as StandbyDeps;
  const siblings = Object.keys(answers).map((name) => withSsh(answering(name)));
  const silent = sibling('x', { kind: 'silent', reason: 'off' });
  const archiver = { includepath: [], ssh_debug: false } as unknown as ArchiverSettings;
  const rivals = await askOnceMore(deps, archiver, [...siblings, silent], { path, run: 'm' });
  const kinds = rivals.map((rival) => (rival.target === undefined ? 'mark' : rival.rivalry.kind));
  return { kinds, asked, said, passedMs };
}

describe('asked once more', () => {
  test('a standby that is no rival is asked once, and a silent one not at all', async () => {
    expect(await ask({ a: [recovers] })).toMatchObject({ kinds: [], asked: ['a'], said: [] });
  });

  test('of two runs, the one with the smaller name gives way at once', async () => {
    expect(await ask({ a: [beingPromoted('z')] })).toMatchObject({ kinds: ['being-promoted'], passedMs: 0 });
    expect((await ask({ a: [beingPromoted('b'), recovers] })).kinds).toEqual([]);
  });

  test('a run that stops answering has not given way', async () => {
    const silent = await ask({ a: [beingPromoted('b'), 'silence'] });
    expect(silent.kinds).toEqual(['being-promoted']);
    expect(silent.passedMs).toBe(5000);
    expect((await ask({ a: [beingPromoted('b'), 'silence', 'silence', open] })).kinds).toEqual(['open']);
    expect((await ask({ a: [beingPromoted('b'), 'silence', recovers] })).kinds).toEqual([]);
  });

  test('a standby that is only slow is asked again before its silence is accepted', async () => {
    const slow = await ask({ a: ['silence', open] });
    expect(slow).toMatchObject({ kinds: ['open'], asked: ['a', 'a'] });
    const gone = await ask({ a: ['silence'], b: [recovers] });
    expect(gone.kinds).toEqual([]);
    // Both are asked at once: either may come first.
    const [first, second, ...again] = gone.asked;
    expect([[first, second].sort(), again]).toEqual([['a', 'b'], ['a']]);
    expect(gone.said.at(-1)).toBe(
      'standby a does not answer any more (timed out): whether it was promoted meanwhile is unknown',
    );
  });
});
