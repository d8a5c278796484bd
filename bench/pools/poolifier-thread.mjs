import { ThreadWorker } from 'poolifier'
import same from './tasks.mjs'

export default new ThreadWorker(same)
