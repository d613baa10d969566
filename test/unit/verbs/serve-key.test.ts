import { PassThrough } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { PitrError } from '../../../src/errors.ts';
import { runCommand, startSession, whenRoom } from '../../../src/system/command.ts';
import { inputLines, limitedLines } from '../../../src/system/input-lines.ts';
import type { ProgramDeps } from '../../../src/system/program-deps.ts';
import { openingOf } from '../../../src/system/served.ts';
import { type KeyInput, keyInput, type KeyService, serveKey } from '../../../src/verbs/serve-key.ts';

const nonce = 'a'.repeat(24);
const bytes = 20_000_000;

/** `loud` prints more than a client that does not read may have us keep. */
const service: KeyService = {
  served: { version: 1, side: 'archive', roles: false, program: '/bin/false', ini: '/x.ini' },
  scripts: {
    loud: { arguments: {}, script: () => `head -c ${bytes} /dev/zero | tr '\\0' x | fold -w 1000` },
  },
  place: undefined,
  check: () => Promise.resolve(undefined),
  verb: () => Promise.resolve(0),
  rsync: () => Promise.resolve({ refused: 'none here' }),
};

function keyFor(original: string, lines: readonly string[], client: PassThrough): KeyInput {
  return {
    startSession,
    log: { run: runCommand, now: Date.now, program: 'cmd_standby', file: undefined, connection: undefined },
    original,
    input: (async function* input() {
      yield* await Promise.resolve([Buffer.from(lines.map((line) => `${line}\n`).join(''))]);
    })(),
    write: (text) => {
      client.write(text);
    },
    whenRoom: () => whenRoom(client),
    writeError: () => undefined,
    signal: new AbortController().signal,
  };
}

const session = (...requests: readonly string[]): readonly string[] => [
  openingOf('b'.repeat(24)).trimEnd(),
  ...requests.map((request) => `${nonce} ${request}`),
];

describe('the program of a restricted key', () => {
  test.each([['in a session', 'sh', session('loud', 'loud')] as const, ['by itself', 'loud', []] as const])(
    'keeps little for a client that does not read, %s',
    async (_what, original, lines) => {
      const client = new PassThrough({ highWaterMark: 1000 });
      const served = serveKey(keyFor(original, lines, client), service);
      // All that our shell has written by now would be here.
      await pause(500);
      expect(client.writableLength + client.readableLength).toBeGreaterThan(0);
      expect(client.writableLength + client.readableLength).toBeLessThan(1_000_000);
      let read = 0;
      client.on('data', (chunk: Buffer) => {
        read += chunk.length;
      });
      expect(await served).toBe(0);
      await whenRoom(client);
      await pause(0);
      expect(read).toBeGreaterThanOrEqual(bytes);
    },
  );

  test.each([
    ['calls', ['status', 'stop-primary 1 hostb 7 00112233']] as const,
    ['sh', [...session('status'), `${nonce} stop-primary 1 hostb 7 00112233`]] as const,
  ])('does nothing for a line that is cut off, as with %s', async (original, lines) => {
    const client = new PassThrough();
    const names: string[] = [];
    const verb: KeyService['verb'] = ({ name }) => {
      names.push(name);
      return Promise.resolve(0);
    };
    const text = lines.map((line) => `${line}\n`).join('');
    const input = (async function* input() {
      yield* await Promise.resolve([Buffer.from(text.trimEnd())]);
    })();
    const served = { ...service.served, roles: true };
    expect(await serveKey({ ...keyFor(original, [], client), input }, { ...service, served, verb })).toBe(0);
    expect(names).toEqual(['status']);
  });

  test.each([
    [new PitrError('the configuration file cannot be used:\n/x.ini:1: no', { detail: 'more' })],
    [Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })],
  ])('refuses one request alone if it cannot be checked: %s', async (error) => {
    const client = new PassThrough();
    let answers = '';
    client.on('data', (chunk: Buffer) => {
      answers += chunk.toString();
    });
    const scripts = {
      bad: { arguments: {}, script: () => 'echo no' },
      fine: { arguments: {}, script: () => 'echo yes' },
    };
    const check: KeyService['check'] = (name) =>
      name === 'bad' ? Promise.reject(error) : Promise.resolve(undefined);
    expect(await serveKey(keyFor('sh', session('bad', 'fine'), client), { ...service, scripts, check })).toBe(
      0,
    );
    expect(answers).toMatch(/refused: bad: .*(config|EACCES)/);
    expect(answers.split('\n')).toContain('yes');
    expect(answers.split('\n')).not.toContain('no');
    const bug = serveKey(keyFor('bad', [], client), {
      ...service,
      scripts,
      check: () => Promise.reject(new TypeError('bug')),
    });
    await expect(bug).rejects.toThrow('bug');
  });

  test('leaves the words of a client in no environment', () => {
    vi.stubEnv('SSH_ORIGINAL_COMMAND', 'calls');
    const deps = { run: runCommand, startSession, now: Date.now } as unknown as ProgramDeps;
    expect(keyInput(deps, 'cmd_standby', undefined).original).toBe('calls');
    expect(process.env['SSH_ORIGINAL_COMMAND']).toBeUndefined();
    vi.unstubAllEnvs();
  });

  test('ends with a client that has gone in the middle of an answer', async () => {
    const client = new PassThrough({ highWaterMark: 1000 });
    const served = serveKey(keyFor('sh', session('loud', 'loud'), client), service);
    await pause(100);
    client.destroy();
    expect(await served).toBe(0);
  });
});

describe('lines of a client', () => {
  const readAll = async (chunks: readonly string[], longest: number): Promise<string[]> => {
    const input = (async function* input() {
      yield* await Promise.resolve(chunks.map((chunk) => Buffer.from(chunk)));
    })();
    const lines: string[] = [];
    for await (const line of limitedLines(input, longest)) lines.push(line);
    return lines;
  };

  test('end at line feeds alone, wherever the chunks end', async () => {
    expect(await readAll(['a\r\u2028b', '\n\nc', 'd\ne', '\n'], 100)).toEqual(['a\r\u2028b', '', 'cd', 'e']);
  });

  test('that are cut off are no lines', async () => {
    expect(await readAll(['a\nb'], 100)).toEqual(['a']);
  });

  test('come the same way from a full shell, and end with the signal', async () => {
    const stop = new AbortController();
    const input = new PassThrough();
    const lines: string[] = [];
    const onCut = () => lines.push('cut');
    const read = (async () => {
      for await (const line of inputLines(stop.signal, onCut, input)) lines.push(line);
    })();
    input.end('a\r\nb\nc');
    await read;
    expect(lines).toEqual(['a', 'b', 'cut']);
    const open = inputLines(stop.signal, onCut, new PassThrough())[Symbol.asyncIterator]();
    const next = open.next();
    stop.abort(new Error('stopped'));
    await expect(next).rejects.toThrow('stopped');
  });

  test('that are too long end the input, and a million tiny chunks are no work', async () => {
    expect(await readAll(['ab', 'cd', 'ef', '\nx\n'], 3)).toEqual(['abcd']);
    const many = await readAll([...Array.from({ length: 300_000 }, () => 'x'), '\n'], 1_000_000);
    expect(many.map(({ length }) => length)).toEqual([300_000]);
  });
});
