import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { authorizeHere, authorizeScript, type KeyLine } from '../../../src/setup/authorized-keys.ts';
import { parsePublicKey } from '../../../src/setup/public-key.ts';
import { temporaryDirectory } from '../system/temporary.ts';

function keyLine(number: number, side: 'archive' | 'data'): KeyLine {
  const blob = Buffer.concat([
    Buffer.from([0, 0, 0, 11]),
    Buffer.from('ssh-ed25519'),
    Buffer.alloc(36, number),
  ]);
  const key = parsePublicKey(`ssh-ed25519 ${blob.toString('base64')} pitrtools-${side}@alpha`);
  if (key === undefined) throw new Error('no key');
  const program = side === 'archive' ? 'cmd_standby' : 'cmd_archiver';
  return {
    key,
    line: `restrict,command="/opt/it's/${program} -C /etc/x.ini --serve" ${key.type} ${key.blob} ${key.comment}`,
  };
}

const lines = [keyLine(1, 'archive'), keyLine(2, 'data')];
const both = lines.map(({ line }) => `${line}\n`).join('');
const other = 'ssh-rsa AAAA somebody';

async function send(home: string, ...more: string[]): Promise<{ code: number; said: string }> {
  const child = spawn('/bin/sh', ['-c', authorizeScript(lines, ['/bin/sh', ...more])], {
    env: { PATH: process.env['PATH'], HOME: home, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = text(child.stdout);
  const [code] = (await once(child, 'close')) as [number];
  return { code, said: await said };
}

function homeWith(content: string | undefined, mode = 0o700): { home: string; file: string } {
  const home = temporaryDirectory();
  const directory = join(home, '.ssh');
  const file = join(directory, 'authorized_keys');
  mkdirSync(directory, { mode: 0o700 });
  if (content !== undefined) writeFileSync(file, content, { mode: 0o600 });
  chmodSync(directory, mode);
  return { home, file };
}

const read = (file: string): string => readFileSync(file, 'utf8');

describe('the script that lets our keys in on another host', () => {
  test('makes the directory and the file for this user alone', async () => {
    const home = temporaryDirectory();
    expect(await send(home)).toEqual({ code: 0, said: '' });
    const file = join(home, '.ssh', 'authorized_keys');
    expect(read(file)).toBe(both);
    expect([join(home, '.ssh'), file].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o600]);
    expect(await send(home)).toEqual({ code: 0, said: 'present 0\npresent 1\n' });
    expect(read(file)).toBe(both);
  });

  test('ends a last line that has no line feed', async () => {
    const { home, file } = homeWith(other);
    expect((await send(home)).code).toBe(0);
    expect(read(file)).toBe(`${other}\n${both}`);
  });

  test('leaves a key as it is that has other options, but not one in a comment', async () => {
    const { type, blob } = lines[0]?.key ?? { type: '', blob: '' };
    const own = `from="192.0.2.1" ${type} ${blob}\n`;
    const { home, file } = homeWith(own);
    expect((await send(home)).said).toBe('present 0\n');
    expect(read(file)).toBe(`${own}${lines[1]?.line ?? ''}\n`);
    writeFileSync(file, ` # ${type} ${blob}\n`);
    expect((await send(home)).said).toBe('');
    expect(read(file)).toBe(` # ${type} ${blob}\n${both}`);
  });

  test('says why it cannot write, and what sshd will not like', async () => {
    // A file without write permission is tried over sshd (setup.test.ts): root could write to it.
    const blocked = homeWith(undefined);
    mkdirSync(blocked.file);
    const refused = await send(blocked.home);
    expect(refused.code).toBe(1);
    expect(refused.said).toMatch(/authorized_keys/);
    const noDirectory = temporaryDirectory();
    writeFileSync(join(noDirectory, '.ssh'), '');
    expect(await send(noDirectory)).toMatchObject({
      code: 1,
      said: expect.stringMatching(/\.ssh/) as string,
    });
    const open = homeWith(`${other}\n`, 0o777);
    expect(await send(open.home)).toEqual({ code: 0, said: 'open .\n' });
    expect(read(open.file)).toBe(`${other}\n${both}`);
    const { home } = homeWith(undefined);
    expect((await send(home, '/usr/bin/no-such-program')).code).toBe(40);
    expect(existsSync(join(home, '.ssh', 'authorized_keys'))).toBe(false);
  });

  test('run by several at once loses no line', async () => {
    const { home, file } = homeWith(other);
    await Promise.all(Array.from({ length: 8 }, () => send(home)));
    const found = read(file)
      .split('\n')
      .filter((line) => line !== '');
    expect(found[0]).toBe(other);
    expect(new Set(found)).toEqual(new Set([other, ...lines.map(({ line }) => line)]));
  });
});

test('authorizeHere appends, and keeps a link, the mode and the other lines', async () => {
  const { home, file } = homeWith(undefined);
  const real = join(home, 'keys');
  writeFileSync(real, other, { mode: 0o640 });
  symlinkSync(real, file);
  await authorizeHere(file, lines);
  await authorizeHere(file, lines);
  expect(read(real)).toBe(`${other}\n${both}`);
  expect(statSync(real).mode & 0o777).toBe(0o640);
  const blocked = homeWith(undefined);
  mkdirSync(blocked.file);
  await expect(authorizeHere(blocked.file, lines)).rejects.toThrow(/cannot append to/);
});
