import { onlyAction, type OptionsOf, readArguments } from '../arguments.ts';
import { checkNames } from '../check/arguments.ts';
import { usageError } from '../errors.ts';
import { seeHelp } from '../help.ts';
import { parseTimeline } from '../postgres/left-timeline.ts';
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
import { type flags, usage } from './usage.ts';

/** The request of one call of cmd_archiver. `check` is its action if none is given. */
export type Action =
  | { readonly kind: 'archive'; readonly path: string }
  /** `plant`: the standby whose archive is to be marked in any case. */
  | { readonly kind: 'initialize'; readonly plant: string | undefined }
  | { readonly kind: 'check' | 'ship' | 'may-start' | 'flush' | 'cleanup' }
  | ({ readonly kind: 'status'; readonly isLive: boolean } & StatusRequest)
  /** `standby`: all of them if it is undefined. */
  | { readonly kind: 'ledger'; readonly standby: string | undefined; readonly json: boolean }
  /** `--check`. `names`: those checks only; none for all of them. */
  | { readonly kind: 'doctor'; readonly names: readonly string[]; readonly json: boolean }
  | {
      readonly kind: 'audit';
      readonly standby: string | undefined;
      readonly digests: boolean;
      readonly json: boolean;
    }
  | { readonly kind: 'history'; readonly json: boolean }
  | { readonly kind: 'abandon' | 'resume'; readonly standby: string }
  | { readonly kind: 'timeline-restored'; readonly timeline: number }
  /** Called by Patroni. */
  | { readonly kind: 'patroni-callback'; readonly event: PatroniEvent }
  /** Started by sshd for a restricted key. `roles`: the key may change the role of this host's server. */
  | { readonly kind: 'serve'; readonly roles: boolean };

export type Request =
  | { readonly kind: 'show'; readonly text: string }
  | { readonly kind: 'setup'; readonly request: SetupRequest }
  | (Action & { readonly iniFile: string; readonly dryRun: boolean });

type Options = OptionsOf<typeof flags>;

/** The words that Patroni appends to its callback. */
export interface PatroniEvent {
  /** `on_role_change`, `on_start` and the like. */
  readonly event: string;
  /** `master` up to Patroni 3, `primary` from 4 on, `replica`, `standby_leader`. */
  readonly role: string;
}

interface Asked {
  readonly word: string;
  readonly action: Action;
}

function patroniEvent(words: readonly string[]): PatroniEvent {
  const [event, role, scope, ...rest] = words;
  if (event !== undefined && role !== undefined && scope !== undefined && rest.length === 0)
    return { event, role };
  throw usageError(
    `--patroni-callback takes EVENT ROLE SCOPE, not "${quoted(words.join(' '), 100)}"`,
    'In patroni.yml, the callback ends with --patroni-callback: Patroni appends the three words.',
  );
}

function timelineOf(text: string): number {
  const timeline = parseTimeline(text);
  if (timeline !== undefined) return timeline;
  throw usageError(
    `--timeline-restored "${quoted(text, 100)}" is no timeline: it takes a number`,
    seeHelp(usage),
  );
}

/** Every action that the options ask for, with the words to name it by. */
function askedActions(options: Options, json: boolean): readonly Asked[] {
  const { init, plant, file, ship, mayStart, status, flush, cleanup, abandon, resume, timelineRestored } =
    options;
  const { ledger, check, audit, patroniCallback } = options;
  const digests = options.digests === true;
  const asked: readonly (Asked | undefined)[] = [
    init && { word: '-I', action: { kind: 'initialize', plant } },
    file === undefined ? undefined : { word: '-F', action: { kind: 'archive', path: file } },
    ship && { word: '--ship', action: { kind: 'ship' } },
    mayStart && { word: '--may-start', action: { kind: 'may-start' } },
    patroniCallback === undefined
      ? undefined
      : {
          word: '--patroni-callback',
          action: { kind: 'patroni-callback', event: patroniEvent(patroniCallback) },
        },
    status && {
      word: '--status',
      action: {
        kind: 'status',
        isLive: options.live === true,
        ...statusRequest(options, seeHelp(usage)),
      },
    },
    ledger === undefined
      ? undefined
      : {
          word: '--ledger',
          action: { kind: 'ledger', standby: ledger === true ? undefined : ledger, json },
        },
    check && {
      word: '--check',
      action: {
        kind: 'doctor',
        names: checkNames(check),
        json,
      },
    },
    audit === undefined
      ? undefined
      : {
          word: '--audit',
          action: { kind: 'audit', standby: audit === true ? undefined : audit, digests, json },
        },
    options.serve && {
      word: '--serve',
      action: { kind: 'serve', roles: options.roles === true },
    },
    options.history && { word: '--history', action: { kind: 'history', json } },
    flush && { word: '--flush', action: { kind: 'flush' } },
    cleanup && { word: '--cleanup', action: { kind: 'cleanup' } },
    abandon === undefined ? undefined : { word: '--abandon', action: { kind: 'abandon', standby: abandon } },
    resume === undefined ? undefined : { word: '--resume', action: { kind: 'resume', standby: resume } },
    timelineRestored === undefined
      ? undefined
      : {
          word: '--timeline-restored',
          action: { kind: 'timeline-restored', timeline: timelineOf(timelineRestored) },
        },
  ];
  return asked.filter((one) => one !== undefined);
}

const takesDryRun: readonly Action['kind'][] = [
  'doctor',
  'flush',
  'cleanup',
  'abandon',
  'resume',
  'timeline-restored',
];

const answersInJson: readonly Action['kind'][] = ['doctor', 'status', 'ledger', 'audit', 'history'];

function setupOf(options: Options & SetupOptions, iniFile: string): Request {
  const [other] = askedActions(options, false);
  if (other !== undefined)
    throw usageError(`one action at a time, not --setup and ${other.word}`, seeHelp(usage));
  refuseForeignOption(usage, options, ['standby', 'dryRun']);
  const hosts = readHosts('--standby', options.standby ?? []);
  return { kind: 'setup', request: setupRequest('primary', iniFile, hosts, options) };
}

/** Throws a usage error, before anything is read or done. */
export function parseRequest(argv: readonly string[]): Request {
  const read = readArguments(usage, argv);
  if (read.kind === 'show') return read;
  const { options, iniFile } = read;
  if (options.setup === true) return setupOf(options, iniFile);
  refuseStraySetupOption(options, seeHelp(usage));
  if (options.standby !== undefined)
    throw usageError('--standby can be used only with --setup', seeHelp(usage));
  const action = onlyAction(askedActions(options, options.json === true), { kind: 'check' });
  const dryRun = options.dryRun === true;
  const hint = seeHelp(usage);
  if (options.plant !== undefined && options.init !== true)
    throw usageError('--plant can be used only with -I', hint);
  const stray = strayStatusOption(options);
  if (stray !== undefined && options.status !== true)
    throw usageError(`--${stray} can be used only with --status`, hint);
  if (options.live === true && options.status !== true)
    throw usageError('--live can be used only with --status', hint);
  if (options.json === true && !answersInJson.includes(action.kind))
    throw usageError(`--json can be used only ${usage.shared.json}`, hint);
  if (options.digests === true && options.audit === undefined)
    throw usageError('--digests can be used only with --audit', hint);
  if (options.roles === true && options.serve !== true) throw usageError('--roles needs --serve', hint);
  if (options.file === '') throw usageError('-F needs the path of a WAL file', hint);
  if (dryRun && !takesDryRun.includes(action.kind))
    throw usageError(`--dry-run can be used only ${usage.shared.dryRun}`, hint);
  return { ...action, iniFile, dryRun };
}
