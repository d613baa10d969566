import { onlyAction, type OptionsOf, readArguments } from '../arguments.ts';
import { checkNames } from '../check/arguments.ts';
import { usageError } from '../errors.ts';
import { seeHelp } from '../help.ts';
import { type HostAddress, parseAddress } from '../host-address.ts';
import { parseWalName, type SegmentName } from '../postgres/wal-name.ts';
import {
  readHosts,
  refuseForeignOption,
  refuseStraySetupOption,
  type SetupOptions,
  type SetupRequest,
  setupRequest,
} from '../setup/request.ts';
import { type StatusRequest, statusRequest, strayStatusOption } from '../status/arguments.ts';
import { quoted } from '../system/printable.ts';
import { readVerbCall, type VerbCall } from '../verbs/read-call.ts';
import { servesLines } from '../verbs/verbs.ts';
import type { BackupOptions, FailoverOptions, SwitchoverOptions } from './deps.ts';
import { readReplicaCall, type ReplicaCall, replicaWord } from './patroni/replica-call.ts';
import {
  pauseBefore,
  type RequestedTarget,
  requestedTarget,
  targetWord,
} from './recovery/requested-target.ts';
import { parseForce } from './steps/force.ts';
import { type flags, usage } from './usage.ts';

/** The options that request an action by themselves: their name, the word for a message, and the action's kind. */
const actionOptions = [
  ['init', '-I', 'init'],
  ['ping', '-P', 'ping'],
  ['base', '-B', 'base-backup'],
  ['verify', '--verify', 'verify'],
  ['backupInfo', '--backup-info', 'backup-info'],
  ['standby', '-S', 'start-standby'],
  ['wal', '--wal', 'wal'],
  ['history', '--history', 'history'],
  ['cleanup', '--cleanup', 'cleanup'],
  ['switchover', '--switchover', 'switchover'],
  ['patroniPrePromote', '--patroni-pre-promote', 'patroni-pre-promote'],
] as const;

/** The values of `-A`. */
const controlActions = {
  start: 'start',
  stop: 'stop',
  start_basebackup: 'start-basebackup',
  stop_basebackup: 'stop-basebackup',
} as const;

type ControlAction = keyof typeof controlActions;

/** The request of one call of cmd_standby. `check` is its action if none is given. */
export type Action =
  | { readonly kind: 'check' }
  | { readonly kind: (typeof actionOptions)[number][2] }
  | { readonly kind: (typeof controlActions)[ControlAction] }
  | { readonly kind: 'failover' }
  | { readonly kind: 'patroni-replica'; readonly call: ReplicaCall }
  /** A rehearsal of a failover; `target`: undefined to replay all WAL. `deep`: with pg_amcheck. */
  | {
      readonly kind: 'drill';
      readonly target: RequestedTarget | undefined;
      readonly deep: boolean;
      readonly fromBackup: boolean;
    }
  | ({ readonly kind: 'status' } & StatusRequest)
  | { readonly kind: 'recover'; readonly target: RequestedTarget }
  /** `address`: undefined for the primary that the INI file names; without a port, that of the INI file counts. */
  | { readonly kind: 'rejoin'; readonly address: HostAddress | undefined }
  | { readonly kind: 'follow'; readonly address: HostAddress }
  /** `--check`. `names`: those checks only; none for all of them. */
  | { readonly kind: 'doctor'; readonly names: readonly string[] }
  /** Requested by our own restore_command; `trouble` is undefined once the archive can be used again. */
  | { readonly kind: 'restore-state'; readonly trouble: string | undefined }
  /** Requested by our own archive_cleanup_command: recovery needs no WAL before this segment. */
  | { readonly kind: 'restartpoint'; readonly needed: SegmentName }
  /** Requested by another host. `lines`: it writes one call after the other to our standard input. */
  | { readonly kind: 'serve'; readonly call: VerbCall | 'lines' }
  /** Started by sshd for a restricted key. `roles`: the key may change the role of this host's server. */
  | { readonly kind: 'serve-key'; readonly roles: boolean };

interface RunRequest extends BackupOptions, FailoverOptions, SwitchoverOptions {
  readonly kind: 'run';
  readonly iniFile: string;
  readonly action: Action;
}

export type Request =
  | { readonly kind: 'show'; readonly text: string }
  | { readonly kind: 'setup'; readonly request: SetupRequest }
  | RunRequest;

type Options = OptionsOf<typeof flags>;

function isControlAction(what: string): what is ControlAction {
  return Object.hasOwn(controlActions, what);
}

function controlAction(what: string): Action {
  if (isControlAction(what)) return { kind: controlActions[what] };
  throw usageError(
    `unknown action -A ${what}`,
    'It is one of start, stop, start_basebackup and stop_basebackup.',
  );
}

function failoverAction(number: string, options: Options): Action {
  if (number !== '999') {
    throw usageError(
      `-F ${number} is not -F 999`,
      'The number prevents a failover by mistake: only -F999 starts one.',
    );
  }
  const target = requestedTarget(options);
  return target === undefined ? { kind: 'failover' } : { kind: 'recover', target };
}

function drillAction(options: Options): Action {
  const target = requestedTarget(options);
  if (target !== undefined && target.action !== 'promote')
    throw usageError('--target-action does not go with --drill', 'A drill opens its copy.');
  return { kind: 'drill', target, deep: options.deep === true, fromBackup: options.fromBackup === true };
}

function neededSegment(text: string): SegmentName {
  const name = parseWalName(text);
  if (name.kind === 'segment') return name;
  throw usageError(`--restartpoint "${quoted(text, 100)}" is no WAL segment`, 'The server passes it as %r.');
}

function addressOf(word: string, text: string): HostAddress {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  throw usageError(
    `${word} "${quoted(text, 100)}" is neither HOST nor HOST:PORT`,
    'It is the name or the address of the server that this standby is to follow.',
  );
}

interface Asked {
  readonly word: string;
  readonly action: Action;
}

/** Every action that the options ask for, with the words to name it by. */
function askedActions(options: Options): readonly Asked[] {
  const {
    follow,
    rejoin,
    pauseBefore: moment,
    restoreGood,
    restoreTrouble: trouble,
    restartpoint,
    serve,
    roles,
    failover,
    action,
    base,
    check,
  } = options;
  const asked: Asked[] = actionOptions
    // With -B, --verify is no action of its own.
    .filter(([name]) => options[name] === true && !(name === 'verify' && base === true))
    .map(([, word, kind]) => ({ word, action: { kind } }));
  if (options.status === true)
    asked.push({
      word: '--status',
      action: { kind: 'status', ...statusRequest(options, seeHelp(usage)) },
    });
  if (restoreGood === true)
    asked.push({ word: '--restore-good', action: { kind: 'restore-state', trouble: undefined } });
  if (trouble !== undefined)
    asked.push({ word: '--restore-trouble', action: { kind: 'restore-state', trouble } });
  if (restartpoint !== undefined)
    asked.push({
      word: '--restartpoint',
      action: { kind: 'restartpoint', needed: neededSegment(restartpoint) },
    });
  if (check !== undefined)
    asked.push({ word: '--check', action: { kind: 'doctor', names: checkNames(check) } });
  if (serve === true) asked.push({ word: '--serve', action: { kind: 'serve-key', roles: roles === true } });
  else if (serve !== undefined)
    asked.push({
      word: '--serve',
      action: { kind: 'serve', call: serve === servesLines ? 'lines' : readVerbCall(serve) },
    });
  if (options.drill === true) asked.push({ word: '--drill', action: drillAction(options) });
  if (failover !== undefined)
    asked.push({ word: `-F${failover}`, action: failoverAction(failover, options) });
  if (moment !== undefined)
    asked.push({ word: '--pause-before', action: { kind: 'recover', target: pauseBefore(moment) } });
  if (follow !== undefined)
    asked.push({ word: '--follow', action: { kind: 'follow', address: addressOf('--follow', follow) } });
  if (rejoin !== undefined) {
    const address = rejoin === true ? undefined : addressOf('--rejoin', rejoin);
    asked.push({ word: '--rejoin', action: { kind: 'rejoin', address } });
  }
  if (action !== undefined) asked.push({ word: `-A ${action}`, action: controlAction(action) });
  return asked;
}

function chosenAction(options: Options, call: ReplicaCall | undefined): Action {
  const replica: readonly Asked[] =
    call === undefined ? [] : [{ word: replicaWord, action: { kind: 'patroni-replica', call } }];
  const asked = [...askedActions(options), ...replica];
  const target = targetWord(options);
  if (target !== undefined && options.failover === undefined && options.drill !== true) {
    throw usageError(
      `${target} needs -F999`,
      "For point-in-time recovery: cmd_standby -C FILE -F999 -R '2008-05-28 11:00:38'",
    );
  }
  return onlyAction(asked, { kind: 'check' });
}

const answersInJson: readonly Action['kind'][] = [
  'base-backup',
  'verify',
  'backup-info',
  'status',
  'doctor',
  'history',
  'drill',
];

/** The actions that ask --force before they refuse. With --from-backup, --drill makes a base backup, which does. */
function asksForce(action: Action): boolean {
  const kinds: readonly Action['kind'][] = [
    'init',
    'base-backup',
    'failover',
    'recover',
    'switchover',
    'stop',
  ];
  return action.kind === 'drill' ? action.fromBackup : kinds.includes(action.kind);
}

/** The words of a request that would change something although --dry-run is given. The other actions show their steps, or change nothing at all. */
function blindToDryRun(action: Action): string | undefined {
  if (action.kind === 'patroni-pre-promote') return '--patroni-pre-promote';
  if (action.kind === 'serve' || action.kind === 'serve-key') return '--serve';
  if (action.kind !== 'status' || action.form.kind !== 'prometheus') return undefined;
  return action.form.file === undefined ? undefined : '--prometheus FILE';
}

const longestGraceS = 86_400;

function graceOf({ grace, switchover }: Options): number {
  if (grace === undefined) return 0;
  if (switchover !== true)
    throw usageError(
      '--grace needs --switchover',
      'It says how long the open transactions of the primary may take.',
    );
  const seconds = /^\d{1,6}$/.test(grace) ? Number(grace) : NaN;
  if (seconds <= longestGraceS) return seconds;
  throw usageError(
    `--grace "${quoted(grace, 100)}" is no number of seconds`,
    `It takes 0 to ${longestGraceS}.`,
  );
}

function setupOf(options: Options & SetupOptions, iniFile: string): Request {
  const [other] = askedActions(options);
  if (other !== undefined)
    throw usageError(`one action at a time, not --setup and ${other.word}`, seeHelp(usage));
  refuseForeignOption(usage, options, ['primary', 'dryRun', 'force']);
  // A name that --force does not know is refused before anything is done.
  parseForce(options.force);
  const hosts = readHosts('--primary', options.primary === undefined ? [] : [options.primary]);
  if (hosts.length > 1) throw usageError('--primary names one host', seeHelp(usage));
  return { kind: 'setup', request: setupRequest('standby', iniFile, hosts, options) };
}

/** Throws a usage error, before anything is read or done. */
export function parseRequest(given: readonly string[]): Request {
  const patroni = readReplicaCall(given);
  const read = readArguments(usage, patroni?.argv ?? given);
  if (read.kind === 'show') return read;
  const { options, iniFile } = read;
  if (options.setup === true) return setupOf(options, iniFile);
  refuseStraySetupOption(options, seeHelp(usage));
  if (options.primary !== undefined)
    throw usageError('--primary can be used only with --setup', seeHelp(usage));
  const action = chosenAction(options, patroni?.call());
  const [dryRun, force] = [options.dryRun === true, parseForce(options.force)];
  if (options.force !== undefined && !asksForce(action))
    throw usageError(
      '--force can be used only with -I, -B, -F999, --pause-before, --switchover, -A stop, --drill --from-backup or --setup',
      'What another action refuses, --force does not overrule.',
    );
  const changer = dryRun ? blindToDryRun(action) : undefined;
  if (changer !== undefined)
    throw usageError(
      `--dry-run cannot be used with ${changer}`,
      'It has no steps to show, and would change something.',
    );
  const takeRole = options.takeRole === true;
  if (takeRole && options.failover === undefined)
    throw usageError('--take-role needs -F999', 'It says what a failover does for the other standbys.');
  const [verify, json] = [options.verify === true, options.json === true];
  if (json && !answersInJson.includes(action.kind))
    throw usageError(`--json can be used only ${usage.shared.json}`, seeHelp(usage));
  const stray = strayStatusOption(options);
  if (stray !== undefined && action.kind !== 'status')
    throw usageError(`--${stray} can be used only with --status`, seeHelp(usage));
  if (options.roles === true && action.kind !== 'serve-key')
    throw usageError('--roles needs --serve', 'It says what a key in authorized_keys may do.');
  const graceS = graceOf(options);
  if (options.deep === true && action.kind !== 'drill')
    throw usageError('--deep needs --drill', 'It says how thoroughly a drill checks its copy.');
  if (options.fromBackup === true && action.kind !== 'drill')
    throw usageError('--from-backup needs --drill', 'It says what a drill recovers.');
  return { kind: 'run', iniFile, action, dryRun, force, takeRole, graceS, verify, json };
}
