import { messageOf } from '../errors.ts';
import { readIfExists } from './durable.ts';
import { type Checked, type Fields, parseJson } from './json.ts';
import type { Log } from './log.ts';

/**
 * Reads the state that was last notified, of the form that `fields` describes. A file that cannot be read counts as no
 * earlier notification, with a warning: one notification too many is better than none.
 */
export async function readNotified<F extends Fields>(
  log: Log,
  path: string,
  fields: F,
): Promise<Checked<F> | undefined> {
  try {
    const content = await readIfExists(path);
    return content === undefined ? undefined : parseJson(content.toString('utf8'), fields);
  } catch (error) {
    log.warning(`cannot understand "${path}": ${messageOf(error)}`);
    return undefined;
  }
}
