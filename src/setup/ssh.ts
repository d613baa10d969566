/** Our own keys and the host keys of the others: what ssh says of them, and making them. */
import { join } from 'node:path';
import { PitrError } from '../errors.ts';
import type { HostAddress } from '../host-address.ts';
import { describeResult, type RunCommand, succeeded } from '../system/command.ts';
import { ensureDirectory, readIfExists, writeDurably } from '../system/durable.ts';
import { removeFile, rename, withTemporaryDirectory } from '../system/files.ts';
import { quoted } from '../system/printable.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import type { RemoteShell, SshTarget } from '../system/ssh.ts';
import { knownHostName, typedWord } from './commands.ts';
import type { Login } from './facts.ts';
import { type Places, sshWords } from './places.ts';
import {
  keyComment,
  type KeySide,
  keySides,
  type OwnKeys,
  parsePublicKey,
  type PublicKey,
} from './public-key.ts';

const limitMs = 20_000;
const connectTimeoutS = 10;

async function readKey(key: string): Promise<PublicKey | undefined> {
  const text = await readIfExists(`${key}.pub`);
  const isWhole = (await readIfExists(key)) !== undefined;
  return text === undefined || !isWhole ? undefined : parsePublicKey(text.toString('utf8'));
}

export async function readOwnKeys({ keys }: Places): Promise<OwnKeys | undefined> {
  const archive = await readKey(keys.archive);
  const data = await readKey(keys.data);
  return archive === undefined || data === undefined ? undefined : { archive, data };
}

/** Those that are not there yet. */
export async function makeKeys(run: RunCommand, { ssh, keys }: Places, hostName: string): Promise<void> {
  await ensureDirectory(ssh);
  for (const side of keySides)
    if ((await readKey(keys[side])) === undefined)
      await makeKey(run, ssh, keys[side], keyComment(side, hostName));
}

/** The private key gets its name last: a key without its public part is made anew. */
async function makeKey(run: RunCommand, ssh: string, key: string, comment: string): Promise<void> {
  if ((await readIfExists(key)) !== undefined)
    throw new PitrError(`"${key}" has no usable public part beside it`, {
      hint: `Make it: ssh-keygen -y -f ${key} > ${key}.pub`,
    });
  const temporary = join(ssh, '.new');
  await removeFile(temporary);
  await removeFile(`${temporary}.pub`);
  const args = ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', temporary];
  const result = await run({ program: 'ssh-keygen', args }, { limitMs });
  if (!succeeded(result))
    throw new PitrError(`cannot make the key "${key}"`, { detail: describeResult(result) });
  await rename(`${temporary}.pub`, `${key}.pub`);
  await rename(temporary, key);
}

function targetOf(address: HostAddress, user: string, words: readonly string[]): SshTarget {
  const [program = 'ssh', ...args] = words;
  return {
    host: address.host,
    what: address.host,
    user,
    ssh: { program, args },
    connectTimeoutS,
    debug: false,
  };
}

/** As from now on: one of our own keys, and the pinned host key. */
export function ownTarget(places: Places, address: HostAddress, user: string, side: KeySide): SshTarget {
  return targetOf(address, user, sshWords(places, address, side));
}

/** The pinned host key, but the keys and agents that the user has already. */
export function usersTarget(places: Places, address: HostAddress, user: string): SshTarget {
  const words = sshWords(places, address, 'archive');
  const at = words.indexOf('-i');
  const isOurs = (index: number) => index >= at && index < at + 4;
  return targetOf(
    address,
    user,
    words.filter((_, index) => !isOurs(index)),
  );
}

/** ssh's messages are in English, whatever the language is. */
function loginOf(said: string, reason: string): Login {
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed/.test(said))
    return { kind: 'changed-host', reason: quoted(reason) };
  if (/Host key verification failed|No \S+ host key is known/.test(said)) return { kind: 'unknown-host' };
  if (/Permission denied|Too many authentication failures/.test(said))
    return { kind: 'denied', byOwnKeys: false };
  return { kind: 'no-answer', reason: quoted(reason) };
}

/** `use` runs over the connection, if there is one. */
export async function tryLogin<T>(
  deps: ProgramDeps,
  target: SshTarget,
  use: (shell: RemoteShell) => Promise<T>,
): Promise<{ readonly login: Login; readonly value?: T }> {
  const connected = await deps.withRemoteShell(deps, target, use);
  if (connected.kind === 'used') return { login: { kind: 'in' }, value: connected.value };
  if (connected.kind === 'noisy') return { login: { kind: 'noisy', reason: connected.reason } };
  return { login: loginOf(`${connected.said ?? ''}\n${connected.reason}`, connected.reason) };
}

/** The lines of known_hosts that ssh itself writes for a host: it minds the names and ports of ~/.ssh/config. */
async function askHostKey(
  run: RunCommand,
  address: HostAddress,
  user: string,
  knownElsewhere: readonly string[] | 'nowhere',
): Promise<{ readonly lines: string; readonly said: string }> {
  return withTemporaryDirectory('pitrtools-setup-', async (directory) => {
    const file = join(directory, 'known_hosts');
    // The file of the whole host counts as well: of a key that is in it, ssh writes no line.
    const known =
      knownElsewhere === 'nowhere'
        ? [`UserKnownHostsFile=${file}`, 'GlobalKnownHostsFile=/dev/null']
        : [`UserKnownHostsFile=${[file, ...knownElsewhere].join(' ')}`];
    const options = [
      'BatchMode=yes',
      `ConnectTimeout=${connectTimeoutS}`,
      'StrictHostKeyChecking=accept-new',
      ...known,
      'HashKnownHosts=no',
      'UpdateHostKeys=no',
      'CheckHostIP=no',
      'PreferredAuthentications=none',
    ];
    const port = address.port === undefined ? [] : ['-p', String(address.port)];
    const args = [...port, ...options.flatMap((option) => ['-o', option]), '-T', '-l', user];
    const result = await run({ program: 'ssh', args: [...args, address.host, 'true'] }, { limitMs });
    const lines = (await readIfExists(file))?.toString('utf8') ?? '';
    return { lines, said: `${result.stderr}\n${describeResult(result)}` };
  });
}

export interface PinnedHost {
  /** As ssh-keygen -l shows them. */
  readonly fingerprints: readonly string[];
  /** The user's known_hosts had it already. */
  readonly wasKnown: boolean;
}

export async function fingerprintsOf(run: RunCommand, path: string): Promise<readonly string[]> {
  const result = await run({ program: 'ssh-keygen', args: ['-l', '-f', path] }, { limitMs });
  return succeeded(result) ? result.stdout.split('\n').filter((line) => line !== '') : [];
}

async function fingerprintsIn(run: RunCommand, lines: string): Promise<readonly string[]> {
  const command = { program: 'ssh-keygen', args: ['-l', '-f', '-'] };
  const result = await run(command, { limitMs, input: lines });
  return succeeded(result) ? result.stdout.split('\n').filter((line) => line !== '') : [];
}

/**
 * Takes the host key of a host that has none in our file yet. A key that contradicts the user's own known_hosts is
 * refused.
 */
export async function pinHost(
  { run }: Pick<ProgramDeps, 'run'>,
  { ssh, knownHosts }: Places,
  address: HostAddress,
  user: string,
): Promise<PinnedHost> {
  await ensureDirectory(ssh);
  const usual = ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'];
  const compared = await askHostKey(run, address, user, usual);
  if (/HOST IDENTIFICATION HAS CHANGED/.test(compared.said))
    throw new PitrError(`the host key of ${address.host} is not the one in ~/.ssh/known_hosts`, {
      detail: quoted(compared.said, 1000),
      hint: `It was changed there, or another host answers. If it was changed on purpose: ssh-keygen -R ${typedWord(knownHostName(address))}`,
    });
  const asked = compared.lines === '' ? await askHostKey(run, address, user, 'nowhere') : compared;
  if (asked.lines === '')
    throw new PitrError(`the host key of ${address.host} was not received`, { detail: quoted(asked.said) });
  const before = (await readIfExists(knownHosts))?.toString('utf8') ?? '';
  const gap = before === '' || before.endsWith('\n') ? '' : '\n';
  await writeDurably(knownHosts, `${before}${gap}${asked.lines}`);
  return {
    fingerprints: await fingerprintsIn(run, asked.lines),
    wasKnown: compared.lines === '',
  };
}
