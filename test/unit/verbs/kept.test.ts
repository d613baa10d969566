import { expect, test } from 'vitest';
import type { CommandResult, SessionOptions } from '../../../src/system/command.ts';
import { type RemoteShell, type RemoteWork, scriptOf } from '../../../src/system/ssh.ts';
import { keepAnswerer } from '../../../src/verbs/kept.ts';

/** A cmd_standby there that answers by what `answers` has for the line that it gets, and says nothing otherwise. */
function answererThat(answers: Readonly<Record<string, readonly string[]>>) {
  const seen: string[] = [];
  let end: (result: CommandResult) => void = () => undefined;
  const ended = new Promise<CommandResult>((resolve) => {
    end = resolve;
  });
  const start = (work: RemoteWork, { onLine }: SessionOptions) => {
    seen.push(scriptOf(work));
    return {
      pid: 1,
      write: (text: string) => {
        seen.push(text);
        for (const line of answers[text.trim()] ?? []) onLine(line);
      },
      close: () => seen.push('closed'),
      kill: () => seen.push('killed'),
      stderr: () => '',
      ended,
    };
  };
  const shell = { target: { what: 'the old primary' }, start } as unknown as RemoteShell;
  const answerer = keepAnswerer(shell, { program: '/opt/it is/cmd_standby', iniFile: '/etc/i.ini' });
  return { answerer, seen, end };
}

const cluster = '7';

test('one program answers one call after the other', async () => {
  const { answerer, seen } = answererThat({
    'open-transactions 7': ['server starting', 'answer: {"count":3}'],
    status: ['refused: there is no server; look at it'],
  });
  expect(await answerer.call('open-transactions', { cluster }, 1_000)).toEqual({
    kind: 'answered',
    answer: { count: 3 },
  });
  expect(await answerer.call('status', {}, 1_000)).toEqual({
    kind: 'refused',
    reason: 'the old primary answered "status" with: there is no server; look at it',
  });
  expect((await answerer.call('open-transactions', { cluster }, 1_000))?.kind).toBe('answered');
  expect(seen[0]).toBe("'/opt/it is/cmd_standby' '-C' '/etc/i.ini' '--serve' '-'");
  expect(seen).not.toContain('killed');
});

test('an answer of another form is not taken for one', async () => {
  const { answerer } = answererThat({ 'open-transactions 7': ['answer: {"count":"3"}'] });
  expect(await answerer.call('open-transactions', { cluster }, 1_000)).toMatchObject({ kind: 'refused' });
});

test('if it ends during a call, whether that was carried out is unknown; later ones are not asked', async () => {
  const { answerer, seen, end } = answererThat({});
  const call = answerer.call('status', {}, 60_000);
  // Only one at a time: its answer would be taken for another one's.
  expect(await answerer.call('status', {}, 60_000)).toBeUndefined();
  end({ kind: 'exited', code: 1, stdout: '', stderr: 'no such file' });
  expect(await call).toEqual({ kind: 'lost', reason: 'exit status 1: no such file' });
  expect(await answerer.call('status', {}, 60_000)).toBeUndefined();
  expect(seen.filter((text) => text === 'status\n')).toHaveLength(1);
});

test('a call that gets no answer in time ends it: a late answer is not taken for the next one', async () => {
  const { answerer, seen } = answererThat({});
  expect(await answerer.call('status', {}, 10)).toEqual({ kind: 'lost', reason: 'no answer within 0 s' });
  expect(seen).toContain('killed');
  expect(await answerer.call('status', {}, 10)).toBeUndefined();
});
