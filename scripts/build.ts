import { BUILD_DIRECTORY, buildWorkflowBundle } from '../worker/workflowBundle.ts';

/** Bundles the workflows ahead of time: `npm run build`. */
const [directory = BUILD_DIRECTORY] = process.argv.slice(2);
await buildWorkflowBundle(directory);
console.log(`${directory}/workflows.js is current.`);
