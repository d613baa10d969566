/** The settings that the server must have for archiving and streaming. Pure. */
import { archiveCallOf } from '../config/archive-command.ts';
import { splitWords } from '../config/command-words.ts';
import type { Capabilities } from '../postgres/capabilities.ts';
import { doublePercent, settingLine } from '../postgres/quoting.ts';
import { shellQuote } from '../system/shell-quote.ts';
import { markedText } from './own-file.ts';

/** A row of pg_settings. */
interface CurrentSetting {
  readonly value: string;
  /** `postmaster`: only a restart changes it. */
  readonly context: string;
  /** Where the value comes from; empty if that is no file. */
  readonly file: string;
}

export type CurrentSettings = ReadonlyMap<string, CurrentSetting>;

export const askedSettings = [
  'wal_level',
  'archive_mode',
  'archive_command',
  'archive_library',
  'max_wal_senders',
  'listen_addresses',
  'hot_standby',
] as const;

export interface Want {
  readonly name: string;
  readonly value: string;
  /** The server has it, or something that serves as well. */
  readonly isMet: boolean;
  readonly needsRestart: boolean;
  /** Whether another value would serve as well. */
  readonly serves: (value: string) => boolean;
}

/** The word of a path in archive_command: PostgreSQL's own `%p` and the shell's quotes are minded. */
function commandWord(path: string): string {
  return doublePercent(/^[\w@+=:,./-]+$/.test(path) ? path : shellQuote(path));
}

export function archiveCommandFor(program: string, iniFile: string): string {
  return `${commandWord(program)} -C ${commandWord(iniFile)} -F %p`;
}

const wordsOf = (command: string): readonly string[] => {
  const split = splitWords(command);
  return split.kind === 'words' ? split.words : [];
};

/** Words by which a shell does more than to run one program. */
const isOperator = (word: string): boolean => /[;&|<>]/.test(word);

/** Our call alone, or joined to others by `&&`, so that a failure of each of them counts (doc/beside-others.md). */
export function callsAs(wanted: string, command: string): boolean {
  const [ours, theirs] = [archiveCallOf(wanted), archiveCallOf(command)];
  const operators = wordsOf(command).filter(isOperator);
  return (
    command === wanted ||
    (theirs?.passesSegment === true &&
      theirs.program === ours?.program &&
      theirs.iniFile === ours.iniFile &&
      !command.includes('\n') &&
      operators.every((word) => word === '&&'))
  );
}

/** Nothing else is lost if a command of this kind is replaced: it is our program and its flags, and no more. */
function isOurCallAlone(command: string): boolean {
  if (archiveCallOf(command) === undefined) return false;
  const [program = '', ...rest] = wordsOf(command);
  const isFlagOrValue = (word: string, index: number) =>
    word.startsWith('-') || /^(-[CF]|--config|--file)$/.test(rest[index - 1] ?? '');
  return (
    archiveCallOf(program) !== undefined &&
    rest.every((word, index) => isFlagOrValue(word, index) && !isOperator(word))
  );
}

const isOneOf =
  (...values: readonly string[]) =>
  (value: string): boolean =>
    values.includes(value);

const fewestSenders = 4;

function listensEverywhere(value: string): boolean {
  return value.split(',').some((address) => ['*', '0.0.0.0'].includes(address.trim()));
}

/** Values in the server's own words, and which others serve as well. */
function wantedValues(
  capabilities: Capabilities,
  archiveCommand: string,
): readonly (readonly [name: string, value: string, serves: (value: string) => boolean])[] {
  const { walLevel, hotStandbyDefaultOn, streaming } = capabilities;
  return [
    ...(walLevel === undefined
      ? []
      : [['wal_level', walLevel, isOneOf(walLevel, 'hot_standby', 'logical')] as const]),
    ['archive_mode', 'on', isOneOf('on', 'always')],
    ['archive_command', archiveCommand, (value: string) => callsAs(archiveCommand, value)],
    ...(streaming
      ? ([
          ['max_wal_senders', '10', (value: string) => Number(value) >= fewestSenders],
          ['listen_addresses', '*', listensEverywhere],
        ] as const)
      : []),
    ...(streaming && !hotStandbyDefaultOn ? ([['hot_standby', 'on', isOneOf('on')]] as const) : []),
  ];
}

const restartNames = ['wal_level', 'archive_mode', 'max_wal_senders', 'listen_addresses', 'hot_standby'];

/** @param current undefined if the server cannot be asked */
export function wantsOf(
  capabilities: Capabilities,
  archiveCommand: string,
  current: CurrentSettings | undefined,
): readonly Want[] {
  return wantedValues(capabilities, archiveCommand).map(([name, value, serves]) => {
    const now = current?.get(name);
    return {
      name,
      value,
      serves,
      isMet: now !== undefined && serves(now.value),
      needsRestart: now === undefined ? restartNames.includes(name) : now.context === 'postmaster',
    };
  });
}

/** Those for which a file that the server reads later has a value that does not serve. */
export function overriddenIn(
  overriding: ReadonlyMap<string, { readonly value: string }>,
  wants: readonly Want[],
): readonly Want[] {
  return wants.filter(({ name, serves }) => {
    const value = overriding.get(name)?.value;
    return value !== undefined && !serves(value);
  });
}

/** Another program archives already, alone or beside ours: that is never replaced unasked. */
export function foreignArchiving(
  current: ReadonlyMap<string, Pick<CurrentSetting, 'value'>> | undefined,
  wanted: string,
): string | undefined {
  const library = current?.get('archive_library')?.value ?? '';
  if (library !== '') return `archive_library = '${library}'`;
  const command = current?.get('archive_command')?.value ?? '';
  return command === '' || callsAs(wanted, command) || isOurCallAlone(command)
    ? undefined
    : `archive_command = '${command}'`;
}

/** The lines of our own file in conf.d: those that are needed, and those that this file itself has brought. */
export function confText(wants: readonly Want[], current: CurrentSettings | undefined, file: string): string {
  const lines = wants
    .filter(({ name, isMet }) => !isMet || current?.get(name)?.file === file)
    .map(({ name, value }) => settingLine(name, value, 'parameter'));
  const head = '# Written by pitrtools --setup: archiving and streaming.';
  return markedText(`${[head, ...lines].join('\n')}\n`);
}
