import { onlyAction, type OptionsOf, readArguments } from '../arguments.ts';
import { usageError } from '../errors.ts';
import { seeHelp } from '../help.ts';
import { parseWalName, type SegmentName } from '../postgres/wal-name.ts';
import { quoted } from '../system/printable.ts';
import { readVerbCall, type VerbCall } from '../verbs/read-call.ts';
import { type RequestedTarget, requestedTarget, targetWord } from './recovery/requested-target.ts';
import { type Force, parseForce } from './steps/force.ts';
import { type flags, usage } from './usage.ts';

/** The request of one call of cmd_standby. `check` is its action if none is given. */
export type Action =
  | { readonly kind: 'check' }
  | { readonly kind: 'init' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'base-backup' }
  | { readonly kind: 'verify' }
  | { readonly kind: 'backup-info' }
  | { readonly kind: 'start-standby' }
  | { readonly kind: 'failover' }
  | { readonly kind: 'recover'; readonly target: RequestedTarget }
  | { readonly kind: 'start' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'start-basebackup' }
  | { readonly kind: 'stop-basebackup' }
  | { readonly kind: 'cleanup' }
  | { readonly kind: 'wal' }
  /** Requested by our own restore_command; `trouble` is undefined once the archive can be used again. */
  | { readonly kind: 'restore-state'; readonly trouble: string | undefined }
  /** Requested by our own archive_cleanup_command: recovery needs no WAL before this segment. */
  | { readonly kind: 'restartpoint'; readonly needed: SegmentName }
  /** Requested by another host. */
  | { readonly kind: 'serve'; readonly call: VerbCall };

export type Request =
  | { readonly kind: 'show'; readonly text: string }
  | {
      readonly kind: 'run';
      readonly iniFile: string;
      readonly action: Action;
      readonly dryRun: boolean;
      readonly force: Force;
      readonly takeRole: boolean;
      readonly verify: boolean;
      readonly json: boolean;
    };

type Options = OptionsOf<typeof flags>;

function controlAction(what: string): Action {
  switch (what) {
    case 'start':
      return { kind: 'start' };
    case 'stop':
      return { kind: 'stop' };
    case 'start_basebackup':
      return { kind: 'start-basebackup' };
    case 'stop_basebackup':
      return { kind: 'stop-basebackup' };
    default:
      throw usageError(
        `unknown action -A ${what}`,
        'It is one of start, stop, start_basebackup and stop_basebackup.',
      );
  }
}

function failoverAction(number: string, options: Options): Action {
  if (number !== '999') {
    throw usageError(
      `-F ${number} is not -F 999`,
      'The number is a safety catch: a failover is asked for by -F999.',
    );
  }
  const target = requestedTarget(options);
  return target === undefined ? { kind: 'failover' } : { kind: 'recover', target };
}

function neededSegment(text: string): SegmentName {
  const name = parseWalName(text);
  if (name.kind === 'segment') return name;
  throw usageError(`--restartpoint "${quoted(text, 100)}" is no WAL segment`, 'The server passes it as %r.');
}

interface Asked {
  readonly word: string;
  readonly action: Action;
}

/** Every action that the options ask for, with the words to name it by. */
function askedActions(options: Options): readonly Asked[] {
  const { init, ping, base, verify, backupInfo, standby, wal, cleanup, failover, action } = options;
  const { restoreGood, restoreTrouble: trouble, restartpoint, serve } = options;
  const asked: readonly (Asked | undefined)[] = [
    init && { word: '-I', action: { kind: 'init' } },
    ping && { word: '-P', action: { kind: 'ping' } },
    base && { word: '-B', action: { kind: 'base-backup' } },
    // With -B this option is no action of its own.
    base ? undefined : verify && { word: '--verify', action: { kind: 'verify' } },
    backupInfo && { word: '--backup-info', action: { kind: 'backup-info' } },
    standby && { word: '-S', action: { kind: 'start-standby' } },
    wal && { word: '--wal', action: { kind: 'wal' } },
    cleanup && { word: '--cleanup', action: { kind: 'cleanup' } },
    restoreGood && { word: '--restore-good', action: { kind: 'restore-state', trouble: undefined } },
    trouble === undefined
      ? undefined
      : { word: '--restore-trouble', action: { kind: 'restore-state', trouble } },
    restartpoint === undefined
      ? undefined
      : { word: '--restartpoint', action: { kind: 'restartpoint', needed: neededSegment(restartpoint) } },
    serve === undefined
      ? undefined
      : { word: '--serve', action: { kind: 'serve', call: readVerbCall(serve) } },
    failover === undefined ? undefined : { word: `-F${failover}`, action: failoverAction(failover, options) },
    action === undefined ? undefined : { word: `-A ${action}`, action: controlAction(action) },
  ];
  return asked.filter((one) => one !== undefined);
}

function chosenAction(options: Options): Action {
  const asked = askedActions(options);
  const target = targetWord(options);
  if (target !== undefined && options.failover === undefined) {
    throw usageError(
      `${target} needs -F999`,
      "Recovery to a moment: cmd_standby -C FILE -F999 -R '2008-05-28 11:00:38'",
    );
  }
  return onlyAction(asked, { kind: 'check' });
}

const answersInJson: readonly Action['kind'][] = ['base-backup', 'verify', 'backup-info'];

/** Throws a usage error, before anything is read or done. */
export function parseRequest(argv: readonly string[]): Request {
  const read = readArguments(usage, argv);
  if (read.kind === 'show') return read;
  const { options, iniFile } = read;
  const action = chosenAction(options);
  const [dryRun, force] = [options.dryRun === true, parseForce(options.force)];
  const takeRole = options.takeRole === true;
  if (takeRole && options.failover === undefined)
    throw usageError('--take-role needs -F999', 'It says what a failover does for the other standbys.');
  const [verify, json] = [options.verify === true, options.json === true];
  if (json && !answersInJson.includes(action.kind))
    throw usageError(`--json goes ${usage.shared.json}`, seeHelp(usage));
  return { kind: 'run', iniFile, action, dryRun, force, takeRole, verify, json };
}
