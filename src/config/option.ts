import type { CommandLine } from '../command-line.ts';
import type { Capabilities } from '../postgres/capabilities.ts';

/** How much a queue may hold. */
type QueueLimit =
  { readonly kind: 'bytes'; readonly bytes: number } | { readonly kind: 'files'; readonly files: number };

/** The type of each kind of value. */
interface KindValue {
  /** Anything but control characters. */
  text: string;
  /** A user or a host: one word that cannot be taken for a flag or a path. */
  name: string;
  /** A text that never appears in messages. */
  secret: string;
  /** Absolute, without a trailing slash. */
  path: string;
  program: CommandLine;
  'rsync-flags': readonly string[];
  /** Shell command text. */
  shell: string;
  boolean: boolean;
  integer: number;
  seconds: number;
  port: number;
  /** A number of bytes. */
  size: number;
  'queue-limit': QueueLimit;
  /** A version of PostgreSQL, as written. */
  version: string;
  /** Names that can be directory names. */
  'standby-names': readonly string[];
  /** Absolute directories. */
  'search-path': readonly string[];
}

/** Facts of `Capabilities` that determine whether a release uses a setting. */
export type UsedWhere = Readonly<Partial<Pick<Capabilities, 'standbyMode' | 'hasArchiveCleanupCommand'>>>;

/** The kinds of things that must exist on this host before the programs can work. */
export type ExpectedKind = 'directory' | 'file' | 'program';

interface OptionBase {
  readonly group: string;
  /** One line that describes the value. */
  readonly summary: string;
  /** Further facts for the reference that a DBA must know. */
  readonly detail?: string;
  /** The release that brought the key. */
  readonly since: '1.3' | '1.4' | '2.0';
  /** The default as it would be written in the file; may contain `%(key)s`. */
  readonly default?: string;
  /** A value for the sample file, if there is no default or another value explains more. */
  readonly example?: string;
  readonly required?: true;
  /** Actions that need the key although the file as a whole is valid without it. */
  readonly requiredBy?: readonly string[];
  /** The boolean key that must be on for `requiredBy` to count. */
  readonly requiredIf?: string;
  readonly expects?: ExpectedKind;
  /**
   * The capability that a release must have, or must not have, for the value to have an effect. Other releases do not
   * need it.
   */
  readonly usedWhere?: UsedWhere;
  /** An older release's key without effect. The text says what replaces it. */
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
