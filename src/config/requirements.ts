import type { UsableConfig } from './loaded.ts';
import type { Option } from './option.ts';
import { type StandbyAction, standbyOptions, type StandbySettings } from './options-standby.ts';
import type { Problem } from './problem.ts';

/** Keys that the action needs and the file lacks, although the file is valid for other actions. */
export function requireFor(config: UsableConfig<StandbySettings>, action: StandbyAction): Problem[] {
  const values: Readonly<Record<string, unknown>> = { ...config.settings };
  const options: [string, Option][] = Object.entries(standbyOptions);
  return options.flatMap(([key, option]) => {
    const isAsked = option.requiredBy?.includes(action) === true && values[key] === undefined;
    const { requiredIf } = option;
    if (!isAsked || (requiredIf !== undefined && values[requiredIf] !== true)) return [];
    const reason = requiredIf === undefined ? '' : ` when "${requiredIf}" is on`;
    const line = config.lines.get(requiredIf ?? '') ?? config.lines.get('') ?? 1;
    return [{ line, message: `missing key "${key}", which ${action} needs${reason}: ${option.summary}` }];
  });
}
