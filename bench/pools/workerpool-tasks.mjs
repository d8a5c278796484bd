import workerpool from 'workerpool'
import same from './tasks.mjs'

workerpool.worker({ same })
