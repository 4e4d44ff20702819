import { buildWorkflowBundle } from '../worker/workflowBundle.ts';

/** Bundles the workflows ahead of time: `npm run build`. */
await buildWorkflowBundle();
console.log('build/workflows.js is current.');
