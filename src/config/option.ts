import type { Capabilities } from '../postgres/capabilities.ts';
import type { CommandLine } from '../command-line.ts';

/** How much a queue may hold. */
type QueueLimit =
  { readonly kind: 'bytes'; readonly bytes: number } | { readonly kind: 'files'; readonly files: number };

/** What each kind of value becomes. */
interface KindValue {
  /** Anything but control characters. */
  text: string;
  /** A user or a host: one word that nothing could take for a flag or a path. */
  name: string;
  /** A text that never appears in messages. */
  secret: string;
  /** Absolute, without a slash at its end. */
  path: string;
  program: CommandLine;
  'rsync-flags': readonly string[];
  /** Shell command text. */
  shell: string;
  boolean: boolean;
  integer: number;
  seconds: number;
  port: number;
  /** Bytes. */
  size: number;
  'queue-limit': QueueLimit;
  /** PostgreSQL's, as written. */
  version: string;
  /** Names that can be directory names. */
  'standby-names': readonly string[];
  /** Absolute directories. */
  'search-path': readonly string[];
}

/** Facts of `Capabilities` by which a release uses a setting. */
export type UsedWhere = Readonly<Partial<Pick<Capabilities, 'standbyMode' | 'hasArchiveCleanupCommand'>>>;

/** What must be there on this host before the programs can do their work. */
export type ExpectedKind = 'directory' | 'file' | 'program';

interface OptionBase {
  readonly group: string;
  /** One line that says what the value is for. */
  readonly summary: string;
  /** What a DBA must know beyond that, for the reference. */
  readonly detail?: string;
  /** The release that brought the key. */
  readonly since: '1.3' | '1.4' | '2.0';
  /** As it would stand in the file; may hold `%(key)s`. */
  readonly default?: string;
  /** A value for the sample file, where there is no default or another is more telling. */
  readonly example?: string;
  readonly required?: true;
  /** Actions that cannot do without it, where the file as a whole can. */
  readonly requiredBy?: readonly string[];
  /** The boolean key that must be on for `requiredBy` to count. */
  readonly requiredIf?: string;
  readonly expects?: ExpectedKind;
  /** What a release must, or must not, be able to do for the value to be of any use: others do without it. */
  readonly usedWhere?: UsedWhere;
  /** An older release's key without effect; says what replaces it. */
  readonly legacy?: string;
}

type PlainKind = Exclude<keyof KindValue, 'integer' | 'seconds'>;

export type Option = OptionBase &
  (
    | { readonly kind: PlainKind }
    | { readonly kind: 'integer' | 'seconds'; readonly min: number; readonly max: number }
    | { readonly kind: 'choice'; readonly choices: readonly string[] }
  );

export type OptionTable = Readonly<Record<string, Option>>;

type OptionValue<O extends Option> = O extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : O['kind'] extends keyof KindValue
    ? KindValue[O['kind']]
    : never;

type AlwaysThere = { readonly required: true } | { readonly default: string };

/** The settings that a table describes: its keys are the INI's keys. */
export type SettingsOf<Table extends OptionTable> = {
  readonly [
    Key in keyof Table as Table[Key] extends { readonly legacy: string } ? never : Key
  ]: Table[Key] extends AlwaysThere ? OptionValue<Table[Key]> : OptionValue<Table[Key]> | undefined;
};
