import { unreachable } from '../../../errors.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import type { LowLimit } from '../../../postgres/standby-limits.ts';
import type { ConfCopy } from '../../host/conf-files.ts';
import type { RecoverySettings } from '../../recovery/settings.ts';
import type { ArchivedEnd } from '../../archive/replay-check.ts';
import type { ReplayDelay } from './delay.ts';
import type { ServerConfiguration } from '../../server/server-configuration.ts';

/** What turns a standby into a production server, by promotion or by recovery to a moment. */
export type FailoverStep = OpeningStep | AfterStep;

/** What opens the server. */
export type OpeningStep =
  | { readonly kind: 'stop-server' }
  | {
      readonly kind: 'write-settings';
      readonly settings: RecoverySettings;
      readonly mode: 'standby' | 'recovery';
    }
  | { readonly kind: 'copy-conf'; readonly copy: ConfCopy }
  | { readonly kind: 'raise-settings'; readonly limits: readonly LowLimit[] }
  | { readonly kind: 'start-server'; readonly configuration: ServerConfiguration }
  | { readonly kind: 'see-it-recover' }
  | ProveLoginStep
  | { readonly kind: 'resume-replay' }
  | DropDelayStep
  /** Before 'promote', of a server that can be asked. */
  | SeeArchiveReplayedStep
  /** Before 'promote'. */
  | { readonly kind: 'guard-replay'; readonly end: ArchivedEnd | undefined }
  | { readonly kind: 'lift-guard' }
  | { readonly kind: 'promote' }
  | { readonly kind: 'see-it-open'; readonly target: string | undefined };

/** What comes once the server is out of recovery: the failover has happened then, whatever fails now. */
export type AfterStep =
  | StartPromotedStep
  | { readonly kind: 'verify-write' }
  | { readonly kind: 'record-opening' }
  | { readonly kind: 'mark-archive' }
  | { readonly kind: 'clear-settings' }
  | RestoreDelayStep
  | { readonly kind: 'see-all-replayed'; readonly end: ArchivedEnd; readonly isAccepted: boolean }
  | { readonly kind: 'set-aside-last-segment' }
  | { readonly kind: 'use-failover-conf'; readonly conf: FailoverConf }
  | { readonly kind: 'archive-history' }
  | { readonly kind: 'check-archiving' }
  | RunActionStep
  | { readonly kind: 'record-promotion' };

type SettingDelay = Extract<ReplayDelay, { readonly kind: 'setting' }>;

interface DropDelayStep {
  readonly kind: 'drop-delay';
  readonly delay: SettingDelay;
}

interface RestoreDelayStep {
  readonly kind: 'restore-delay';
  readonly delay: SettingDelay;
}

export interface SeeArchiveReplayedStep {
  readonly kind: 'see-archive-replayed';
  readonly lsn: bigint;
  /** The segment that ends with it. */
  readonly last: string;
  /** Nothing has been changed before. */
  readonly isFirst: boolean;
}

export interface RunActionStep {
  readonly kind: 'run-action';
  readonly command: string;
  /** An earlier run has begun it, and did not see it succeed. */
  readonly isRepeated: boolean;
}

/** Before 'promote', for a server that this run has started. */
export interface ProveLoginStep {
  readonly kind: 'prove-login';
  readonly configuration: ServerConfiguration;
  readonly failoverConfiguration: ServerConfiguration | undefined;
  /** A refusal is said and not obeyed. */
  readonly isAccepted: boolean;
}

/** A server that ended before its failover was finished. */
export interface StartPromotedStep {
  readonly kind: 'start-promoted';
  readonly conf: FailoverConf | undefined;
  readonly configuration: ServerConfiguration;
}

export interface FailoverConf {
  /** The INI's files; which of them are to be copied is seen when they are put into force. */
  readonly files: readonly ConfCopy[];
  /** The configuration to restart with, where a reload cannot do. */
  readonly configuration: ServerConfiguration;
  readonly mustRestart: boolean;
}

const afterKinds: readonly FailoverStep['kind'][] = [
  'start-promoted',
  'verify-write',
  'record-opening',
  'mark-archive',
  'clear-settings',
  'restore-delay',
  'see-all-replayed',
  'set-aside-last-segment',
  'use-failover-conf',
  'archive-history',
  'check-archiving',
  'run-action',
  'record-promotion',
];

export function isAfterStep(step: FailoverStep): step is AfterStep {
  return afterKinds.includes(step.kind);
}

function describeConf({ files, mustRestart }: FailoverConf): string {
  const what = files.map(({ key, from }) => `${from} (${key})`).join(' and ');
  return `put ${what} into force, by ${mustRestart ? 'restart' : 'reload, or by restart where a setting needs one'}`;
}

export function describeStep(step: FailoverStep): string {
  return isAfterStep(step) ? describeAfterStep(step) : describeOpeningStep(step);
}

function describeOpeningStep(step: OpeningStep): string {
  switch (step.kind) {
    case 'stop-server':
      return 'stop the server';
    case 'write-settings':
      return `write the settings of ${step.mode === 'standby' ? 'a standby that reads the archive' : 'the recovery'}`;
    case 'copy-conf':
      return `copy ${step.copy.from} (${step.copy.key}) to ${step.copy.to}`;
    case 'raise-settings':
      return `raise what pg_control demands: ${step.limits.map(({ name, demanded }) => `${name} = ${demanded}`).join(', ')}`;
    case 'start-server':
      return `start the server with ${step.configuration.configFile}`;
    case 'see-it-recover':
      return 'wait until it is seen recovering';
    case 'prove-login':
      return 'see that what comes after the promotion can log in';
    case 'resume-replay':
      return 'resume the replay, which is paused';
    case 'drop-delay':
      return `set recovery_min_apply_delay, which is ${step.delay.value}, to 0`;
    case 'see-archive-replayed':
      return `wait until the archive is replayed to its end, LSN ${formatLsn(step.lsn)}`;
    case 'guard-replay':
      return 'see to it that the server ends, and does not open, if it cannot read the archive';
    case 'lift-guard':
      return 'let the server open even if it cannot read the archive';
    case 'promote':
      return 'promote the server: it replays all WAL that is here, and opens';
    case 'see-it-open':
      return step.target === undefined
        ? 'wait until it is out of recovery'
        : `wait until it has recovered to ${step.target} and is out of recovery`;
    default:
      return unreachable(step);
  }
}

function describeAfterStep(step: AfterStep): string {
  switch (step.kind) {
    case 'start-promoted':
      return `start the server, which is promoted already, with ${step.configuration.configFile}`;
    case 'record-opening':
      return 'record that the server is out of recovery, and that the failover is not finished yet';
    case 'verify-write':
      return 'verify that it takes a write';
    case 'mark-archive':
      return 'mark the archive as promoted, so that the old primary delivers nothing there any more';
    case 'clear-settings':
      return 'take our recovery settings away';
    case 'restore-delay':
      return 'set recovery_min_apply_delay back, for the standby that this server may be again';
    case 'see-all-replayed':
      return `see that the archived WAL was replayed, up to ${step.end.last.name}`;
    case 'set-aside-last-segment':
      return "keep the unfinished last segment of the old timeline from being archived under a whole segment's name";
    case 'use-failover-conf':
      return describeConf(step.conf);
    case 'archive-history':
      return 'see that the history of the new timeline is archived';
    case 'check-archiving':
      return 'look where the promoted server would archive to';
    case 'run-action':
      return `run action_failover${step.isRepeated ? ' again' : ''}: ${step.command}`;
    case 'record-promotion':
      return 'record that the failover is finished';
    default:
      return unreachable(step);
  }
}
