import { Command, CommanderError, Option } from 'commander';
import { exitCodes, PitrError } from '../errors.ts';
import { parseForce, type Force } from './steps/force.ts';
import {
  requestedTarget,
  targetWord,
  type RequestedTarget,
  type TargetFlags,
} from './recovery/requested-target.ts';
import { description, examples, optionTexts } from './usage.ts';

/** What one call of cmd_standby is to do. `check` is what it does without an action. */
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
  /** Asked for by our own restore_command; `trouble` is undefined once all is well again. */
  | { readonly kind: 'restore-state'; readonly trouble: string | undefined };

export type Request =
  | { readonly kind: 'show'; readonly text: string }
  | {
      readonly kind: 'run';
      readonly iniFile: string;
      readonly action: Action;
      readonly dryRun: boolean;
      readonly force: Force;
      readonly verify: boolean;
      readonly json: boolean;
    };

interface Flags extends TargetFlags {
  readonly config?: string;
  readonly init?: true;
  readonly ping?: true;
  readonly base?: true;
  readonly standby?: true;
  readonly failover?: string;
  readonly action?: string;
  readonly verify?: true;
  readonly backupInfo?: true;
  readonly cleanup?: true;
  readonly wal?: true;
  readonly restoreTrouble?: string;
  readonly restoreGood?: true;
  readonly dryRun?: true;
  readonly force?: string | true;
  readonly json?: true;
}

function usageError(message: string, hint = 'cmd_standby --help shows all actions.'): PitrError {
  return new PitrError(message, { hint, exitCode: exitCodes.usage });
}

function createCommand(version: string, write: (text: string) => void): Command {
  return (
    new Command('cmd_standby')
      .description(description)
      .usage('-C FILE [ACTION] [--dry-run] [--force[=NAMES]] [--json]')
      .option('-C, --config <FILE>', optionTexts.config)
      .option('-I, --init', optionTexts.init)
      .option('-P, --ping', optionTexts.ping)
      .option('-B, --base', optionTexts.base)
      .option('--verify', optionTexts.verify)
      .option('--backup-info', optionTexts.backupInfo)
      .option('-S, --standby', optionTexts.standby)
      .option('-F, --failover <999>', optionTexts.failover)
      .option('-R, --recover <TIMESTAMP>', optionTexts.recover)
      .option('--target-time <TIMESTAMP>', optionTexts.targetTime)
      .option('--target-xid <NUMBER>', optionTexts.targetXid)
      .option('--target-lsn <LSN>', optionTexts.targetLsn)
      .option('--target-name <NAME>', optionTexts.targetName)
      .option('--target-immediate', optionTexts.targetImmediate)
      .option('--target-exclusive', optionTexts.targetExclusive)
      .option('--target-timeline <TIMELINE>', optionTexts.targetTimeline)
      .option('--target-action <WHAT>', optionTexts.targetAction)
      .option('-A, --action <WHAT>', optionTexts.action)
      .option('--wal', optionTexts.wal)
      .option('--cleanup', optionTexts.cleanup)
      // For bin/cmd_standby itself, as the server's restore_command.
      .addOption(new Option('--restore-trouble <MESSAGE>').hideHelp())
      .addOption(new Option('--restore-good').hideHelp())
      .option('--dry-run', optionTexts.dryRun)
      .option('--force [NAMES]', optionTexts.force)
      .option('--json', optionTexts.json)
      .version(version, '--version', optionTexts.version)
      .helpOption('-h, --help', optionTexts.help)
      .addHelpText('after', examples)
      .exitOverride()
      .configureHelp({ helpWidth: 100 })
      .configureOutput({ writeOut: write, writeErr: () => undefined })
  );
}

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

function failoverAction(number: string, flags: Flags): Action {
  if (number !== '999') {
    throw usageError(
      `-F ${number} is not -F 999`,
      'The number is a safety catch: a failover is asked for by -F999.',
    );
  }
  const target = requestedTarget(flags);
  return target === undefined ? { kind: 'failover' } : { kind: 'recover', target };
}

/** Every action that the flags ask for, with the words to name it by. */
function askedActions(flags: Flags): readonly { readonly word: string; readonly action: Action }[] {
  const simple = [
    { word: '-I', given: flags.init, action: { kind: 'init' } },
    { word: '-P', given: flags.ping, action: { kind: 'ping' } },
    { word: '-B', given: flags.base, action: { kind: 'base-backup' } },
    // Beside -B it is no action of its own.
    { word: '--verify', given: flags.base === true ? undefined : flags.verify, action: { kind: 'verify' } },
    { word: '--backup-info', given: flags.backupInfo, action: { kind: 'backup-info' } },
    { word: '-S', given: flags.standby, action: { kind: 'start-standby' } },
    { word: '--wal', given: flags.wal, action: { kind: 'wal' } },
    { word: '--cleanup', given: flags.cleanup, action: { kind: 'cleanup' } },
    {
      word: '--restore-good',
      given: flags.restoreGood,
      action: { kind: 'restore-state', trouble: undefined },
    },
  ] as const;
  const { failover, action, restoreTrouble: trouble } = flags;
  return [
    ...simple.filter(({ given }) => given === true),
    ...(trouble === undefined
      ? []
      : [{ word: '--restore-trouble', action: { kind: 'restore-state', trouble } as const }]),
    ...(failover === undefined ? [] : [{ word: `-F${failover}`, action: failoverAction(failover, flags) }]),
    ...(action === undefined ? [] : [{ word: `-A ${action}`, action: controlAction(action) }]),
  ];
}

function chosenAction(flags: Flags): Action {
  const asked = askedActions(flags);
  const target = targetWord(flags);
  if (target !== undefined && flags.failover === undefined) {
    throw usageError(
      `${target} needs -F999`,
      "Recovery to a moment: cmd_standby -C FILE -F999 -R '2008-05-28 11:00:38'",
    );
  }
  if (asked.length > 1) {
    throw usageError(`one action at a time, not ${asked.map(({ word }) => word).join(' and ')}`);
  }
  return asked[0]?.action ?? { kind: 'check' };
}

const answersInJson: readonly Action['kind'][] = ['base-backup', 'verify', 'backup-info'];

/** commander's own message without its prefix, in our look. */
function messageFrom(error: CommanderError): string {
  return error.message
    .replace(/^error: /, '')
    .replace(/\n.*/s, '')
    .replace(/\.$/, '');
}

/** Reads the command line. Throws a usage error, before anything is read or done. */
export function parseRequest(argv: readonly string[], version: string): Request {
  let shown = '';
  const command = createCommand(version, (text) => {
    shown += text;
  });
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'show', text: shown };
    throw usageError(messageFrom(error));
  }
  const flags = command.opts<Flags>();
  const action = chosenAction(flags);
  if (flags.config === undefined) throw usageError('no INI file is given', 'Name it: cmd_standby -C FILE …');
  const [dryRun, force] = [flags.dryRun === true, parseForce(flags.force)];
  const [verify, json] = [flags.verify === true, flags.json === true];
  if (json && !answersInJson.includes(action.kind))
    throw usageError('--json goes with -B, --verify and --backup-info');
  return { kind: 'run', iniFile: flags.config, action, dryRun, force, verify, json };
}
