import type { Primary } from '../../../primary/primary.ts';
import { needed } from '../context.ts';

/** Where the functions are that begin and end a backup. */
export function helperSchemaOf({ facts }: Pick<Primary, 'facts'>): string {
  return needed(facts.helperSchema, 'the schema of the helper functions');
}
