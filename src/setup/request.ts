/** The command line of --setup, which both programs have. */
import { resolve } from 'node:path';
import { readStandbyNames } from '../config/name-values.ts';
import { readPath } from '../config/path-values.ts';
import { usageError } from '../errors.ts';
import { seeHelp, type Usage } from '../help.ts';
import { type HostAddress, parseAddress } from '../host-address.ts';
import { quoted } from '../system/printable.ts';
import { parsePublicKey, type PublicKey, sideOf } from './public-key.ts';

/** For both programs' tables of flags. */
export const setupFlags = {
  apply: [
    'Set up',
    '--apply',
    'with --setup: also change PostgreSQL: its settings, pg_hba.conf, roles, helper functions',
  ],
  authorize: [
    'Set up',
    '--authorize <KEY...>',
    'with --setup: let the other host in, whose --setup has printed these public keys',
  ],
  cluster: [
    'Set up',
    '--cluster <CLUSTER>',
    'with --setup: the cluster, if there are several: 15/main, or its data directory',
  ],
  archive: ['Set up', '--archive <DIR>', 'with --setup: the directory for WAL, on all hosts'],
  systemd: ['Set up', '--systemd', 'with --setup, as root: enable the services and timers'],
} as const;

/** `primary`: cmd_archiver was called, on the primary; `standby`: cmd_standby, on a standby. */
export type SetupRole = 'primary' | 'standby';

export interface SetupRequest {
  readonly role: SetupRole;
  readonly iniFile: string;
  /** The standbys, or the primary; none if the INI file already names them. */
  readonly others: readonly HostAddress[];
  readonly cluster: string | undefined;
  readonly archive: string | undefined;
  /** The keys of another host. */
  readonly authorize: readonly PublicKey[];
  readonly apply: boolean;
  readonly systemd: boolean;
  readonly dryRun: boolean;
  /** The value of --force, for the `-I` of cmd_standby. */
  readonly force: string | true | undefined;
}

/** The options as both programs have them. */
export interface SetupOptions {
  readonly setup?: true;
  readonly apply?: true;
  readonly authorize?: readonly string[];
  readonly cluster?: string;
  readonly archive?: string;
  readonly systemd?: true;
  readonly dryRun?: true;
  readonly force?: string | true;
}

const companions = ['apply', 'authorize', 'cluster', 'archive', 'systemd'] as const;

/** The options that --setup reads, apart from `--standby` or `--primary`. */
const read = ['setup', 'config', ...companions];

/**
 * Throws a usage error for an option that means nothing to --setup.
 *
 * @param taken what this program's --setup reads besides
 */
export function refuseForeignOption(
  { flags, program }: Usage,
  options: SetupOptions,
  taken: readonly string[],
): void {
  const stray = Object.keys(options).find((name) => ![...read, ...taken].includes(name));
  if (stray === undefined) return;
  const word = /--[a-z-]+/.exec(flags[stray]?.[1] ?? `--${stray}`)?.[0] ?? stray;
  throw usageError(`${word} cannot be used with --setup`, seeHelp({ program }));
}

/** Throws a usage error for an option that means nothing without --setup. */
export function refuseStraySetupOption(options: SetupOptions, hint: string): void {
  const stray = companions.find((name) => options[name] !== undefined);
  if (stray !== undefined) throw usageError(`--${stray} can be used only with --setup`, hint);
}

function readHost(flag: string, text: string): HostAddress {
  const address = parseAddress(text);
  const name = address === undefined ? undefined : readStandbyNames(address.host);
  if (address !== undefined && name?.kind === 'value' && name.value.length === 1) return address;
  throw usageError(
    `${flag} "${quoted(text, 100)}" is neither HOST nor HOST:PORT`,
    'It is the name or the address by which ssh reaches that host; PORT is that of its sshd.',
  );
}

/** Several in one word have commas between them. */
export function readHosts(flag: string, given: readonly string[]): readonly HostAddress[] {
  const words = given.flatMap((word) => word.split(',')).filter((word) => word !== '');
  const hosts = words.map((word) => readHost(flag, word));
  const twice = hosts.find(({ host }, index) => hosts.findIndex((other) => other.host === host) !== index);
  if (twice === undefined) return hosts;
  throw usageError(`${flag} names ${twice.host} twice`, 'Each standby is another host.');
}

function directoryOf(text: string): string {
  const read = readPath(text);
  if (read.kind === 'value') return read.value;
  throw usageError(`--archive: ${read.messages.join('; ')}`, 'It takes the absolute path of a directory.');
}

function keyOf(text: string): PublicKey {
  const key = parsePublicKey(text);
  if (key !== undefined && sideOf(key) !== undefined) return key;
  if (key !== undefined)
    throw usageError(
      `--authorize "…${quoted(key.comment, 60)}" is not one of the keys that --setup makes`,
      'Their comments are pitrtools-archive@HOST and pitrtools-data@HOST: they say what the key is for.',
    );
  throw usageError(
    `--authorize "${quoted(text, 60)}" is no public key`,
    "It takes lines in quotes, as --setup on the other host prints them: 'ssh-ed25519 AAAA… pitrtools-data@HOST'",
  );
}

export function setupRequest(
  role: SetupRole,
  iniFile: string,
  others: readonly HostAddress[],
  options: SetupOptions,
): SetupRequest {
  const { cluster, archive, authorize, force } = options;
  if (cluster === '') throw usageError('--cluster is empty', 'It takes a name such as 15/main, or a path.');
  return {
    role,
    iniFile,
    others,
    // A slash at its end would make it another name.
    cluster: cluster?.startsWith('/') === true ? resolve(cluster) : cluster,
    archive: archive === undefined ? undefined : directoryOf(archive),
    authorize: (authorize ?? []).map(keyOf),
    apply: options.apply === true,
    systemd: options.systemd === true,
    dryRun: options.dryRun === true,
    force,
  };
}
