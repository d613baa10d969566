import { orderProblems, type Problem } from './problem.ts';

/** A configuration that can be used. */
export interface UsableConfig<Settings> {
  readonly kind: 'ok';
  readonly settings: Settings;
  /** What has no effect, or is asking for trouble. */
  readonly warnings: readonly Problem[];
  /** Where each key of [DEFAULT] stands; `''` is the section's header. */
  readonly lines: ReadonlyMap<string, number>;
}

/** A configuration file as read: all that is wrong with it at once, or settings. */
export type LoadedConfig<Settings> =
  UsableConfig<Settings> | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

export function loaded<Settings>(
  problems: readonly Problem[],
  usable: Omit<UsableConfig<Settings>, 'kind'>,
): LoadedConfig<Settings> {
  if (problems.length > 0) return { kind: 'problems', problems: orderProblems(problems) };
  return { kind: 'ok', ...usable, warnings: orderProblems(usable.warnings) };
}
