import { expect, test } from 'vitest';
import type { Session, SessionOptions } from '../../../src/system/command.ts';
import type { Log } from '../../../src/system/log.ts';
import { withPsql } from '../../../src/system/psql.ts';
import { marker } from '../../../src/system/served.ts';
import { scriptChannel } from '../../../src/system/ssh.ts';

/** The greatest base_backup_timeout, in milliseconds: more than a timer can wait. */
const limitMs = 2_592_000_000;
const answerMs = 50;

test('a script of another host is given any limit that a setting can have', async () => {
  const channel = scriptChannel(() => session);
  const write = (text: string) => {
    const nonce = /[0-9a-f]{24}/.exec(text)?.[0] ?? '';
    setTimeout(() => {
      channel.onLine('');
      channel.onLine(`${marker} ${nonce} 0`);
    }, answerMs);
  };
  const session = { write, kill: () => undefined } as unknown as Session;
  expect(await channel.run('true', { limitMs })).toMatchObject({ kind: 'done', status: 0 });
});

test('so is a statement', async () => {
  let end: (result: unknown) => void = () => undefined;
  const ended = new Promise((done) => {
    end = done;
  });
  const over = () => {
    end({ kind: 'exited', code: 0, stdout: '', stderr: '' });
  };
  const start = (_work: unknown, { onLine }: Pick<SessionOptions, 'onLine'>) => ({
    write: (text: string) =>
      setTimeout(() => {
        onLine(/SELECT '([0-9a-f]{24})';\n$/.exec(text)?.[1] ?? '');
      }, answerMs),
    close: over,
    kill: over,
    ended,
  });
  const target = { psql: { program: 'psql', args: [] }, host: 'h', port: 1, user: 'u', database: 'd' };
  const log = { debug: () => undefined } as unknown as Log;
  const rows = withPsql({ start: start as never }, target, log, (psql) => psql.query('SELECT', limitMs));
  expect(await rows).toEqual([]);
});
