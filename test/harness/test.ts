import { test as plain } from 'vitest';
import { createWorld } from './world.ts';

/**
 * `test` with a `world` that is made for the test which asks for it, and closed after it. `test.override({ major })` in a
 * `describe` says of which PostgreSQL; where no server runs, it does not matter.
 */
export const test = plain
  .extend('major', 15)
  .extend('hasNetworks', false)
  .extend('world', async ({ major, hasNetworks }, { onCleanup }) => {
    const world = await createWorld({ major, hasNetworks });
    onCleanup(() => world.close());
    return world;
  });
