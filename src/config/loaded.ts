import { orderProblems, type Problem } from './problem.ts';

/** A configuration that can be used. */
export interface UsableConfig<Settings> {
  readonly kind: 'ok';
  readonly settings: Settings;
  /** Settings that have no effect, or are likely to cause trouble. */
  readonly warnings: readonly Problem[];
  /** The line of each key of [DEFAULT]; `''` is the section's header. */
  readonly lines: ReadonlyMap<string, number>;
}

/** A configuration file as read: either settings, or everything that is wrong with it. */
export type LoadedConfig<Settings> =
  UsableConfig<Settings> | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

export function loaded<Settings>(
  problems: readonly Problem[],
  usable: Omit<UsableConfig<Settings>, 'kind'>,
): LoadedConfig<Settings> {
  if (problems.length > 0) return { kind: 'problems', problems: orderProblems(problems) };
  return { kind: 'ok', ...usable, warnings: orderProblems(usable.warnings) };
}
