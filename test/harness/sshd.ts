import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { accepts } from './network.ts';
import { familyOf } from './process-table.ts';
import { killAll, mustRun, run, type Running, start } from './processes.ts';

export interface SshKeys {
  readonly identity: string;
  readonly hostKey: string;
}

export interface Sshd {
  readonly address: string;
  readonly port: number;
  readonly log: string;
  start(): Promise<void>;
  /** SIGKILL to the listener and every session with what it runs: the host's ssh is gone at once. */
  kill(): Promise<void>;
  /** Stops the listener and every session without ending them: connections are accepted and nothing is said. */
  freeze(): void;
  thaw(): void;
  isRunning(): boolean;
  /** What stands before the world's key in authorized_keys from now on; nothing: the key has a shell. */
  authorize(options: string): void;
  /** Takes these lines into its configuration before all others, and starts it anew. */
  reconfigure(lines: readonly string[]): Promise<void>;
}

/** One key pair for all hosts of a world, and one host key: making them is slow, and who is who is not tested here. */
export async function makeKeys(directory: string): Promise<SshKeys> {
  const keys = { identity: join(directory, 'id_ed25519'), hostKey: join(directory, 'host_ed25519') };
  mkdirSync(directory, { mode: 0o700 });
  const make = (file: string): Promise<string> =>
    mustRun('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'pitrtools-test', '-f', file]);
  await Promise.all([make(keys.identity), make(keys.hostKey)]);
  return keys;
}

export interface SshdPlace {
  readonly directory: string;
  readonly address: string;
  readonly port: number;
  readonly world: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/** A private sshd that runs as the current user and lets only the world's key in. */
export function createSshd(keys: SshKeys, place: SshdPlace): Sshd {
  const files = { config: join(place.directory, 'sshd_config'), log: join(place.directory, 'sshd.log') };
  mkdirSync(place.directory, { mode: 0o700, recursive: true });
  const authorize = (options: string): void => {
    const key = readFileSync(`${keys.identity}.pub`, 'utf8');
    const line = options === '' ? key : `${options} ${key}`;
    writeFileSync(join(place.directory, 'authorized_keys'), line, { mode: 0o600 });
  };
  authorize('');
  writeFileSync(files.config, sshdConfig(keys, place));

  let listener: Running | undefined;
  const signal = (name: NodeJS.Signals): void => {
    if (listener !== undefined) killAll(familyOf(listener.pid), name);
  };
  const sshd: Sshd = {
    address: place.address,
    port: place.port,
    log: files.log,
    async start() {
      // Absolute, because sshd starts itself anew for each connection.
      listener = start('/usr/sbin/sshd', ['-D', '-f', files.config, '-E', files.log], unlimited(place));
      await eventually(() => acceptsThere(place), {
        limitMs: 60_000,
        what: `sshd on ${place.address}:${place.port}, log ${files.log}`,
      });
    },
    async kill() {
      const running = listener;
      signal('SIGKILL');
      listener = undefined;
      await running?.finished;
    },
    freeze: () => {
      signal('SIGSTOP');
    },
    thaw: () => {
      signal('SIGCONT');
    },
    authorize,
    isRunning: () => listener !== undefined,
    async reconfigure(lines) {
      await sshd.kill();
      // Of two values for one keyword sshd takes the first.
      writeFileSync(files.config, `${lines.join('\n')}\n${sshdConfig(keys, place)}`);
      await sshd.start();
    },
  };
  return sshd;
}

const oneDayMs = 86_400_000;

function environmentOf({ world, env }: SshdPlace): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], PITRTOOLS_TEST_WORLD: world, ...env };
}

function unlimited(place: SshdPlace): { env: NodeJS.ProcessEnv; limitMs: number } {
  return { env: environmentOf(place), limitMs: oneDayMs };
}

async function acceptsThere(place: SshdPlace): Promise<boolean> {
  if (place.env === undefined) return accepts(place.address, place.port);
  const dial = ['-c', `exec 3<>/dev/tcp/${place.address}/${place.port}`];
  const { code } = await run('bash', dial, { env: environmentOf(place) });
  return code === 0;
}

function sshdConfig(keys: SshKeys, place: SshdPlace): string {
  return `${[
    `ListenAddress ${place.address}:${place.port}`,
    `HostKey ${keys.hostKey}`,
    `AuthorizedKeysFile ${join(place.directory, 'authorized_keys')}`,
    `PidFile ${join(place.directory, 'sshd.pid')}`,
    // Neither PAM nor the owner of /tmp is ours to arrange.
    'UsePAM no',
    'StrictModes no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    // The default, which also withstands a quantum computer, takes 70 ms of processor time for each of a thousand connections.
    'KexAlgorithms curve25519-sha256',
    'MaxStartups 100',
    'MaxSessions 100',
    'LogLevel VERBOSE',
    // What a session starts can be found again by this, even when its parent is gone.
    `SetEnv PITRTOOLS_TEST_WORLD=${place.world}`,
  ].join('\n')}\n`;
}
