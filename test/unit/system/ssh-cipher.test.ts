import { expect, test } from 'vitest';
import type { Session, StartSession } from '../../../src/system/command.ts';
import { cipherOptions, withFastCipherFirst } from '../../../src/system/ssh-cipher.ts';

const builtInList =
  'chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com';
const fastFirst =
  'aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr,aes256-gcm@openssh.com';

const configured = { program: 'configured', args: [] };
const builtIn = { program: 'built-in', args: [] };

/** An ssh whose `-G` prints this; undefined: it fails. */
function sshThatPrints(lines: Readonly<Record<string, string | undefined>>): StartSession {
  return ({ program }, { onLine }) => {
    const text = lines[program];
    if (text !== undefined) for (const line of text.split('\n')) onLine(line);
    const code = text === undefined ? 255 : 0;
    const ended = Promise.resolve({ kind: 'exited', code, stdout: '', stderr: '' } as const);
    return { ended, close: () => undefined, kill: () => undefined } as unknown as Session;
  };
}

const optionsOf = (ofConfiguration?: string, ofProgram?: string, hasAes = true) =>
  cipherOptions(
    sshThatPrints({
      configured: ofConfiguration && `user x\nciphers ${ofConfiguration}\nmacs y`,
      'built-in': ofProgram && `ciphers ${ofProgram}`,
    }),
    { configured, builtIn },
    () => Promise.resolve(hasAes),
  );

test("where nobody has configured ciphers, AES-GCM comes first, and the list keeps all of ssh's own", async () => {
  expect(await optionsOf(builtInList, builtInList)).toEqual([`Ciphers=${fastFirst}`]);
});

test('a configured list stays as it is, also one that only has another order', async () => {
  expect(await optionsOf('chacha20-poly1305@openssh.com,aes128-gcm@openssh.com', builtInList)).toEqual([]);
  expect(await optionsOf('chacha20-poly1305@openssh.com', builtInList)).toEqual([]);
  // By a flag of the user, which comes first in both calls and wins in any case.
  expect(await optionsOf('aes256-ctr', 'aes256-ctr')).toEqual([]);
});

test('nothing is changed if ssh does not say what it offers, or the processor has no instructions for AES', async () => {
  expect(await optionsOf(undefined, builtInList)).toEqual([]);
  expect(await optionsOf(builtInList, undefined)).toEqual([]);
  expect(await optionsOf(undefined, undefined)).toEqual([]);
  expect(await optionsOf(builtInList, builtInList, false)).toEqual([]);
});

test('an ssh that has no AES-GCM, or prefers another cipher by itself, keeps its list', () => {
  expect(withFastCipherFirst('chacha20-poly1305@openssh.com,aes128-ctr')).toBeUndefined();
  expect(withFastCipherFirst('aes256-gcm@openssh.com,aes128-gcm@openssh.com')).toBeUndefined();
});
