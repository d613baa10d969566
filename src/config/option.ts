import type { Capabilities } from '../postgres/capabilities.ts';
import type { plainKinds } from './option-values.ts';
import type { ValueResult } from './value-result.ts';

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
  /** The release that brought the key; without one, 1.3 has it already. */
  readonly since?: '1.4' | '2.0';
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

type PlainKind = keyof typeof plainKinds;

export type Option = OptionBase &
  (
    | { readonly kind: PlainKind }
    | { readonly kind: 'integer' | 'seconds'; readonly range: readonly [min: number, max: number] }
    | { readonly kind: 'choice'; readonly choices: readonly string[] }
  );

export type OptionTable = Readonly<Record<string, Option>>;

type ReadBy<Reader> = Reader extends (text: string) => ValueResult<infer Value> ? Value : never;

type OptionValue<O extends Option> = O extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : O['kind'] extends PlainKind
    ? ReadBy<(typeof plainKinds)[O['kind']]>
    : number;

type AlwaysThere = { readonly required: true } | { readonly default: string };

/** The settings that a table describes: its keys are the INI's keys. */
export type SettingsOf<Table extends OptionTable> = {
  readonly [
    Key in keyof Table as Table[Key] extends { readonly legacy: string } ? never : Key
  ]: Table[Key] extends AlwaysThere ? OptionValue<Table[Key]> : OptionValue<Table[Key]> | undefined;
};
