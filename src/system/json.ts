/** Checks whether a value that was read back has the form in which we write it. */
type Guard<T> = (value: unknown) => value is T;

export type Fields = Readonly<Record<string, Guard<unknown>>>;
/** The type of the values that a guard accepts. */
export type Guarded<G> = G extends (value: unknown) => value is infer T ? T : never;
type Optional<F> = { [Name in keyof F]: undefined extends Guarded<F[Name]> ? Name : never }[keyof F];

/** The object that passes these guards of its fields: one table defines both the check and the type. */
export type Checked<F> = {
  readonly [Name in Exclude<keyof F, Optional<F>>]: Guarded<F[Name]>;
} & {
  readonly [Name in Optional<F>]?: Guarded<F[Name]>;
};

const text: Guard<string> = (value) => typeof value === 'string';
const number: Guard<number> = (value) => typeof value === 'number';
const boolean: Guard<boolean> = (value) => typeof value === 'boolean';
const anything: Guard<unknown> = (value): value is unknown => value !== undefined;

function oneOf<const Word extends string>(...words: readonly Word[]): Guard<Word> {
  return (value): value is Word => words.some((word) => word === value);
}

function optional<T>(guard: Guard<T>): Guard<T | undefined> {
  return (value): value is T | undefined => value === undefined || guard(value);
}

function listOf<T>(guard: Guard<T>): Guard<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(guard);
}

function mapOf<T>(guard: Guard<T>): Guard<Readonly<Record<string, T>>> {
  return (value): value is Readonly<Record<string, T>> =>
    isObject(value) && Object.values(value).every(guard);
}

/** Fields that are not named may exist, because another release may have written them. */
function object<F extends Fields>(fields: F): Guard<Checked<F>> {
  return (value): value is Checked<F> => isObject(value) && wrongField(value, fields) === undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrongField(value: Readonly<Record<string, unknown>>, fields: Fields): string | undefined {
  return Object.keys(fields).find((name) => fields[name]?.(value[name]) === false);
}

/** Guards of single values and, by their fields, of objects. */
export const is = { text, number, boolean, anything, oneOf, optional, listOf, mapOf, object };

/**
 * Returns the value if its fields have the form in which we write them. A wrong field is an error that names it. A wrong
 * field of `descriptive` counts as absent, because no decision depends on it.
 */
export function checkFields<F extends Fields>(
  value: unknown,
  fields: F,
  descriptive: readonly (keyof F)[] = [],
): Checked<F> {
  if (!isObject(value)) throw new Error('it is no JSON object');
  const usable: unknown = Object.fromEntries(
    Object.entries(value).filter(
      ([name, part]) => !descriptive.includes(name) || fields[name]?.(part) !== false,
    ),
  );
  if (object(fields)(usable)) return usable;
  const name = wrongField(value, fields) ?? '';
  throw new Error(name in value ? `its "${name}" is not what we write there` : `it has no "${name}"`);
}

/** Reads what we wrote into a file: see `checkFields`. */
export function parseJson<F extends Fields>(
  content: string,
  fields: F,
  descriptive?: readonly (keyof F)[],
): Checked<F> {
  return checkFields(JSON.parse(content), fields, descriptive);
}
